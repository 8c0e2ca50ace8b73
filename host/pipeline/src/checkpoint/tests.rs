use super::*;

fn entry(batch: BatchId) -> OffsetEntry {
    OffsetEntry {
        batch,
        start: serde_json::json!({"current": batch - 1}).into(),
        end: serde_json::json!({"current": batch}).into(),
        component: ComponentId {
            name: "fake".into(),
            version: "0.1.0".into(),
            digest: "sha256:00".into(),
        },
        rows: 1,
        source: None,
    }
}

#[tokio::test]
async fn a_note_survives_in_a_folder_and_the_own_one_wins_over_a_foreign_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("progress.json"), r#"{"current": 20}"#).unwrap();
    let location = CheckpointLocation::local(folder.path()).unwrap();
    let note = location.load_note().await.unwrap().unwrap();
    assert_eq!(note, serde_json::json!({"current": 20}).into());

    location.save_note(r#"{"current":30}"#).await.unwrap();
    let again = CheckpointLocation::local(folder.path()).unwrap();
    let note = again.load_note().await.unwrap().unwrap();
    assert_eq!(note, serde_json::json!({"current": 30}).into());
    let text = std::fs::read_to_string(folder.path().join(NOTE)).unwrap();
    assert_eq!(text, r#"{"current":30}"#);
}

#[tokio::test]
async fn a_note_that_is_too_long_or_not_json_is_refused_and_the_old_one_stays() {
    let location = CheckpointLocation::memory();
    location.save_note("1").await.unwrap();
    let long = format!("\"{}\"", "x".repeat(MAX_NOTE_BYTES));
    assert!(location.save_note(&long).await.is_err());
    for not_json in ["{", "1e999", &format!("{}{}", "[".repeat(200), "]".repeat(200))] {
        assert!(location.save_note(not_json).await.is_err(), "{not_json}");
    }
    let note = location.load_note().await.unwrap().unwrap();
    assert_eq!(note.to_string(), "1");
}

#[tokio::test]
async fn numbers_of_notes_and_entries_keep_their_digits() {
    let location = CheckpointLocation::memory();
    let text = r#"{"at":1700000000.123456789,"id":18446744073709551616,"none":1.50}"#;
    location.save_note(text).await.unwrap();
    let note = location.load_note().await.unwrap().unwrap();
    assert_eq!(note.to_string(), text);
    let mut digits = entry(1);
    digits.start = Offset::parse("1700000000.123456788").unwrap();
    digits.end = Offset::parse(text).unwrap();
    assert!(location.claim_entry(&digits).await.unwrap());
    let again = location.load_entry(1).await.unwrap().unwrap();
    assert_eq!(again, digits);
    assert_eq!(
        (again.start.to_string(), again.end.to_string()),
        ("1700000000.123456788".to_owned(), text.to_owned())
    );
    let end = location
        .load_end(1, Some(digits.end.fingerprint()))
        .await
        .unwrap()
        .end;
    assert_eq!(end.to_string(), text);
    let rounded = Offset::from(digits.end.value());
    assert_ne!(rounded, end);
    assert!(location.load_end(1, Some(rounded.fingerprint())).await.is_err());
}

#[tokio::test]
async fn an_entry_is_claimed_once() {
    let folder = tempfile::tempdir().unwrap();
    let location = CheckpointLocation::local(folder.path()).unwrap();
    assert!(location.claim_entry(&entry(7)).await.unwrap());
    let mut other = entry(7);
    other.end = serde_json::json!("elsewhere").into();
    assert!(!location.claim_entry(&other).await.unwrap());
    assert_eq!(location.load_entry(7).await.unwrap(), Some(entry(7)));
}

#[tokio::test]
async fn the_newest_hundred_entries_are_kept_and_later_claims_too() {
    let location = CheckpointLocation::memory();
    for batch in 1..=130 {
        location.claim_entry(&entry(batch)).await.unwrap();
    }
    location.prune_entries(120).await.unwrap();
    assert_eq!(location.load_entry(20).await.unwrap(), None);
    for batch in [21, 120, 121, 130] {
        assert!(location.load_entry(batch).await.unwrap().is_some(), "{batch}");
    }
}

#[tokio::test]
async fn a_torn_entry_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let location = CheckpointLocation::local(folder.path()).unwrap();
    location.claim_entry(&entry(3)).await.unwrap();
    std::fs::write(folder.path().join("offsets/3"), r#"{"batch":3,"sta"#).unwrap();
    let error = location.load_entry(3).await.unwrap_err();
    let entry = folder.path().join("offsets/3").display().to_string();
    assert!(error.to_string().contains(&entry), "{error}");
    assert!(error.to_string().contains("reset --to-offset"), "{error}");
}
