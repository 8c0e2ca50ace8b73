use std::net::IpAddr;

use url::{Host, Url};

const EXAMPLE: &str = "dbfs:/Volumes/<catalog>/<schema>/<volume>/<folder>";

/// The workspace and the right to use it, from the environment.
pub(super) struct Workspace {
    /// Scheme, host and port.
    pub(super) origin: String,
    pub(super) token: String,
}

/// The path behind `dbfs:`, without a slash at its end.
///
/// # Errors
/// It names no folder of a volume.
pub(super) fn folder(location: &str) -> Result<String, String> {
    let path = location
        .strip_prefix("dbfs:")
        .filter(|path| path.starts_with("/Volumes/"))
        .ok_or_else(|| format!("of dbfs: locations only volumes can be used: {EXAMPLE}"))?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let segments: Vec<_> = path.split('/').skip(1).collect();
    if segments.len() < 4 {
        return Err(format!("it names no volume; write {EXAMPLE}"));
    }
    for segment in &segments {
        let unfit = match *segment {
            "" => Some("an empty part"),
            "." | ".." => Some("a relative part"),
            text if text.chars().any(char::is_control) => Some("a control character"),
            _ => None,
        };
        if let Some(unfit) = unfit {
            return Err(format!("it has {unfit}; write {EXAMPLE}"));
        }
    }
    Ok(path.to_owned())
}

/// `DATABRICKS_HOST` and `DATABRICKS_TOKEN`.
///
/// # Errors
/// One of them is missing, or can't be used. The message never holds the token.
pub(super) fn workspace(variable: impl Fn(&str) -> Option<String>) -> Result<Workspace, String> {
    let read = |name: &str| {
        variable(name)
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let host = read("DATABRICKS_HOST").ok_or(
        "DATABRICKS_HOST is not set; it takes the workspace's address, such as \
         https://dbc-01234567-89ab.cloud.databricks.com",
    )?;
    let origin = origin(&host).map_err(|reason| format!("DATABRICKS_HOST: {reason}"))?;
    let token = read("DATABRICKS_TOKEN")
        .ok_or("DATABRICKS_TOKEN is not set; it takes an access token of the workspace")?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("DATABRICKS_TOKEN holds characters that no token has".into());
    }
    Ok(Workspace { origin, token })
}

/// People copy addresses out of their browser: what stands behind the host is left out, as Databricks' own
/// tools do.
fn origin(host: &str) -> Result<String, String> {
    let text = match host.contains("://") {
        true => host.to_owned(),
        false => format!("https://{host}"),
    };
    let bad = |reason: &str| format!("{reason}; write https:// and the workspace's name");
    let url = Url::parse(&text).map_err(|e| bad(&e.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it holds a user or a password"));
    }
    let loopback = match url.host() {
        None => return Err(bad("it names no host")),
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if loopback => {}
        "http" => return Err(bad("http:// would show the token to everybody on the way")),
        other => return Err(bad(&format!("{other}:// is no scheme for it"))),
    }
    Ok(url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: Option<&str>, token: Option<&str>) -> Result<Workspace, String> {
        workspace(|name| match name {
            "DATABRICKS_HOST" => host.map(str::to_owned),
            "DATABRICKS_TOKEN" => token.map(str::to_owned),
            other => panic!("{other} is none of its business"),
        })
    }

    #[test]
    fn a_location_names_a_folder_of_a_volume() {
        for (location, path) in [
            ("dbfs:/Volumes/a/b/c", "/Volumes/a/b/c"),
            ("dbfs:/Volumes/a/b/c/d/", "/Volumes/a/b/c/d"),
            ("dbfs:/Volumes/a/b/c/50% of ü?#", "/Volumes/a/b/c/50% of ü?#"),
        ] {
            assert_eq!(folder(location).unwrap(), path);
        }
        for bad in [
            "dbfs:/tmp/x",
            "dbfs:/Volumes",
            "dbfs:/Volumes/a/b",
            "dbfs:/Volumes/a/b/c//d",
            "dbfs:/Volumes/a/b/c/../d",
            "dbfs:/Volumes/a/b/c/./d",
            "dbfs:/Volumes/a/b/c/d\ne",
        ] {
            let message = folder(bad).unwrap_err();
            assert!(message.contains("dbfs:/Volumes/<catalog>"), "{bad}: {message}");
        }
    }

    #[test]
    fn hosts_are_taken_as_people_write_them() {
        for (host, origin) in [
            ("dbc-1.cloud.databricks.com", "https://dbc-1.cloud.databricks.com"),
            (
                "https://dbc-1.cloud.databricks.com/",
                "https://dbc-1.cloud.databricks.com",
            ),
            (
                "https://adb-1.azuredatabricks.net/?o=123#job/1",
                "https://adb-1.azuredatabricks.net",
            ),
            (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(at(Some(host), Some("t")).ok().unwrap().origin, origin, "{host}");
        }
        for bad in [
            "http://dbc-1.cloud.databricks.com",
            "http://127.0.0.1.example.com",
            "ftp://dbc-1",
            "https://",
            "https://user:secret@dbc-1",
        ] {
            let message = at(Some(bad), Some("t")).err().unwrap();
            assert!(message.starts_with("DATABRICKS_HOST: "), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_missing_variable_is_named_and_a_bad_token_is_not_shown() {
        assert!(
            at(None, Some("t"))
                .err()
                .unwrap()
                .starts_with("DATABRICKS_HOST is not set")
        );
        assert!(
            at(Some(" "), Some("t"))
                .err()
                .unwrap()
                .starts_with("DATABRICKS_HOST is not set")
        );
        assert!(
            at(Some("h"), None)
                .err()
                .unwrap()
                .starts_with("DATABRICKS_TOKEN is not set")
        );
        assert!(
            at(Some("h"), Some(""))
                .err()
                .unwrap()
                .starts_with("DATABRICKS_TOKEN is not set")
        );
        let message = at(Some("h"), Some("dapi 123\u{7f}")).err().unwrap();
        assert!(!message.contains("dapi"), "{message}");
        assert_eq!(at(Some("h"), Some("dapi123\n")).ok().unwrap().token, "dapi123");
    }
}
