use super::*;

fn leads(from: &str, to: &str) -> Result<(), String> {
    may_lead(&Url::parse(from).unwrap(), &Url::parse(to).unwrap())
}

#[test]
fn nothing_leads_out_of_tls_or_into_private_networks() {
    let public = "https://registry.example/";
    for (from, to) in [
        (public, "https://store.example/x"),
        (public, "https://registry.example:8443/"),
        (public, "https://8.8.8.8/"),
        ("https://10.0.0.1/", "https://10.0.0.2/"),
        ("http://localhost:5000/", "http://127.0.0.1:9000/"),
        ("http://localhost:5000/", "https://store.example/"),
    ] {
        assert_eq!(leads(from, to), Ok(()), "{from} {to}");
    }
    for (from, to, says) in [
        (public, "http://registry.example/", "without TLS"),
        (public, "http://localhost/", "without TLS"),
        (
            "http://localhost:5000/",
            "http://registry.example/",
            "without TLS",
        ),
        (public, "https://localhost/", "a private address"),
        (public, "https://127.0.0.1/", "a private address"),
        (public, "https://2130706433/", "a private address"),
        (public, "https://[::1]/", "a private address"),
        (public, "https://[::ffff:10.0.0.1]/", "a private address"),
        (public, "https://169.254.169.254/", "a private address"),
        (public, "file:///etc/passwd", "no HTTP"),
    ] {
        assert!(leads(from, to).unwrap_err().contains(says), "{from} {to}");
    }
}
