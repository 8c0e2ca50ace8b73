use std::time::Duration;

use super::*;

const MAX: u64 = 100_000;

fn meter(layer: Layer) -> Meter {
    Meter::new(layer, MAX, None)
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    [&head[..], payload].concat()
}

/// No time passes.
fn read(meter: &Meter, bytes: &[u8]) -> Result<bool, Flood> {
    let now = meter.account().paid;
    meter.read(bytes, now)
}

/// Sends this again and again: how often it is taken.
fn taken(meter: &Meter, bytes: &[u8]) -> u64 {
    (0..1_000_000).take_while(|_| read(meter, bytes).is_ok()).count() as u64
}

#[test]
fn frames_without_a_body_are_bounded_whatever_they_are() {
    for (kind, flags, payload, name) in [
        (0, 0, 0, "empty DATA"),
        (1, 4, 20, "HEADERS"),
        (2, 0, 5, "PRIORITY"),
        (3, 0, 4, "RST_STREAM"),
        (4, 0, 0, "SETTINGS"),
        (6, 0, 8, "PING"),
        (8, 0, 4, "WINDOW_UPDATE"),
        (9, 0, 0, "CONTINUATION"),
        (0xfe, 0, 100, "unknown"),
    ] {
        let meter = meter(Layer::Http2);
        let frame = frame(kind, flags, &vec![0; payload]);
        let max = MAX / (frame.len() as u64).max(32);
        let taken = taken(&meter, &frame);
        assert!((max..max + 2).contains(&taken), "{name}: {taken}");
        let Flood(told) = meter.flood().unwrap();
        assert!(told.contains(name), "{name}: {told}");
        assert!(read(&meter, &frame).is_err(), "it stays closed");
    }
}

#[test]
fn bodies_of_any_length_are_taken_however_they_are_cut() {
    let padded = [vec![3], vec![0; 103]].concat();
    let frames = [
        frame(0, 0, &[0; 10_000]),
        frame(0, 8, &padded),
        frame(0, 1, b"row"),
    ]
    .concat();
    for size in [1, 5, 9, 10, 4_096, usize::MAX] {
        let meter = meter(Layer::Http2);
        for _ in 0..100 {
            assert!(
                frames.chunks(size).all(|bytes| read(&meter, bytes).is_ok()),
                "{size}"
            );
        }
        assert!(meter.flood().is_none());
    }
    let meter = meter(Layer::Http2);
    let byte_by_byte = taken(&meter, &frame(0, 0, b"x"));
    assert!((10_000..15_000).contains(&byte_by_byte), "{byte_by_byte}");
    let padding = [&[255][..], &[0; 256]].concat();
    let taken = taken(
        &super::Meter::new(Layer::Http2, MAX, None),
        &frame(0, 8, &padding),
    );
    assert!(taken < 400, "padding is no body: {taken}");
}

#[test]
fn what_was_asked_for_pays_and_so_does_time() {
    let meter = meter(Layer::Http2);
    let ping = frame(6, 0, &[0; 8]);
    let mut now = Instant::now();
    for _ in 0..10_000 {
        // Thirty a second are more than any server sends.
        now += Duration::from_millis(32);
        meter.read(&ping, now).unwrap();
    }
    let answers = super::Meter::new(Layer::Http2, MAX, None);
    let headers = frame(1, 4, &[0; 700]);
    for _ in 0..10_000 {
        read(&answers, &headers).unwrap();
        answers.head(300);
    }
    let windows = super::Meter::new(Layer::Http2, MAX, None);
    for _ in 0..10_000 {
        windows.wrote(1_024);
        read(&windows, &frame(8, 0, &[0; 4])).unwrap();
    }
}

#[test]
fn interim_responses_and_chunks_of_next_to_nothing_are_bounded() {
    let meter = meter(Layer::Http1);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(taken(&meter, interim), MAX / interim.len() as u64);
    let Flood(told) = meter.flood().unwrap();
    assert!(
        told.ends_with("bytes of interim responses (1xx) and no answer"),
        "{told}"
    );

    let answer = super::Meter::new(Layer::Http1, MAX, None);
    for _ in 0..100 {
        answer.wrote(100);
        taken_once(&answer, &[0; 50_000]);
        answer.head(10);
        for _ in 0..10 {
            taken_once(&answer, &[0; 50_000]);
            answer.body(49_000);
        }
    }
    let chunk = b"1\r\nx\r\n";
    let chunks = (0..1_000_000).take_while(|_| {
        answer.body(1);
        read(&answer, chunk).is_ok()
    });
    assert!(chunks.count() < 30_000);
    assert!(answer.flood().unwrap().0.contains("around next to no body"));
}

fn taken_once(meter: &Meter, bytes: &[u8]) {
    read(meter, bytes).unwrap();
}

#[test]
fn what_tls_carries_pays_for_it() {
    let below = meter(Layer::Tls);
    let above = Meter::new(Layer::Http1, u64::MAX, Some(below.clone()));
    for _ in 0..1_000 {
        read(&below, &[0; 16_000]).unwrap();
        read(&above, &[0; 15_900]).unwrap();
    }
    assert!(taken(&below, &[0; 100]) <= MAX / 100 + 1);
    assert_eq!(above.flood(), below.flood());
}
