use sandbar_pipeline::SystemClock;

use super::*;

async fn found(config: &str, registry: &str) -> Result<Option<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    std::fs::write(&path, config).unwrap();
    let found = of_docker(&path, registry, &SystemClock::default()).await;
    let pair = |found: Credentials| format!("{}:{}", found.username.expose(), found.password.expose());
    found.map(|found| found.map(pair)).map_err(|e| e.to_string())
}

#[tokio::test]
async fn dockers_configuration_is_read_in_all_its_spellings() {
    // me:pass:word and a password with Docker's padding.
    let auth = r#"{"auth": "bWU6cGFzczp3b3Jk"}"#;
    for (key, registry) in [
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://GHCR.io/v2/", "ghcr.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://index.docker.io/v1/", "docker.io"),
    ] {
        let config = format!(r#"{{"auths": {{"other.example": {{}}, "{key}": {auth}}}}}"#);
        assert_eq!(
            found(&config, registry).await,
            Ok(Some("me:pass:word".into())),
            "{key}"
        );
        assert_eq!(found(&config, "another.example").await, Ok(None));
        assert_eq!(found(&config, "localhost:5001").await, Ok(None));
    }
    let padded = r#"{"auths": {"a.example": {"auth": "bWU6cGFzcwAA"}}}"#;
    assert_eq!(found(padded, "a.example").await, Ok(Some("me:pass".into())));
    let plain = r#"{"auths": {"a.example": {"username": "me", "password": "pass"}}}"#;
    assert_eq!(found(plain, "a.example").await, Ok(Some("me:pass".into())));
    let none = Path::new("/nonexistent/config.json");
    assert!(
        of_docker(none, "a.example", &SystemClock::default())
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn what_is_not_understood_is_said_and_never_shown() {
    for (config, says) in [
        ("n33dle", "not in the form that Docker writes (line 1)"),
        (
            r#"{"auths": {"a.example": {"auth": "n33dle!"}}}"#,
            "is not the Base64",
        ),
        (
            r#"{"auths": {"a.example": {"auth": "bjMzZGxl"}}}"#,
            "is not the Base64",
        ),
        (
            r#"{"auths": {"a.example": {"identitytoken": "n33dle"}}}"#,
            "a token for a.example",
        ),
        (
            r#"{"credHelpers": {"a.example": "../n33dle"}}"#,
            "no name of a program",
        ),
        (
            r#"{"credsStore": "sandbar-has-none"}"#,
            "docker-credential-sandbar-has-none can't be asked",
        ),
    ] {
        let error = found(config, "a.example").await.unwrap_err();
        assert!(
            error.contains(says) && !error.contains("n33dle"),
            "{config}: {error}"
        );
    }
    // A helper for another registry is left alone.
    let config = r#"{"credHelpers": {"b.example": "sandbar-has-none"}}"#;
    assert_eq!(found(config, "a.example").await, Ok(None));
}

async fn helper(script: &str) -> Result<Option<String>, String> {
    let mut command = Command::new("sh");
    command.args(["-c", script, "helper"]);
    let found = ask_program(command, "helper", "a.example").await?;
    Ok(found.map(|found| format!("{}:{}", found.username.expose(), found.password.expose())))
}

#[tokio::test]
async fn a_helper_is_asked_in_dockers_protocol() {
    let script =
        r#"read key; printf '{"ServerURL":"%s","Username":"%s","Secret":"for %s"}' "$key" "$1" "$key""#;
    assert_eq!(helper(script).await, Ok(Some("get:for a.example".into())));
    assert_eq!(
        helper("echo credentials not found in native keychain; exit 1").await,
        Ok(None)
    );
    for (script, says) in [
        ("echo locked; exit 1", "failed (exit status: 1): locked"),
        ("echo '{}'", "gave no user and secret"),
        ("yes", "says more than 65536 bytes"),
        (
            r#"echo '{"Username":"<token>","Secret":"n33dle"}'"#,
            "an identity token",
        ),
    ] {
        let error = helper(script).await.unwrap_err();
        assert!(
            error.contains(says) && !error.contains("n33dle"),
            "{script}: {error}"
        );
    }
}
