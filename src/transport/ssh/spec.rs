//! The small languages within values of `ssh_config(5)`: hosts of `ProxyJump`, tokens, lengths of time.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// A host of `ProxyJump`: `[user@]host[:port]`, or the same as an `ssh://` URI.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spec {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{:?} is not [user@]host[:port]", super::tame(text));
        let rest = text.trim();
        let rest = match rest.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => rest,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(bad)?)),
            // More than one colon and no brackets: an IPv6 address.
            None if rest.matches(':').count() > 1 => (rest, None),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let port = match port {
            None => None,
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?),
        };
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('-')
                && !name.contains(|c: char| c.is_control() || c.is_whitespace() || c == '/')
        };
        if !is_name(host) || !user.as_deref().is_none_or(is_name) {
            return Err(bad());
        }
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.port {
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

/// What the tokens of `ssh_config(5)` stand for.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// `%h`, the address.
    pub(super) host: String,
    /// `%n`, what was asked for.
    pub(super) asked: String,
    /// `%p`
    pub(super) port: u16,
    /// `%r`, the login name.
    pub(super) user: String,
    /// `%u`
    pub(super) local_user: String,
    /// `%d`
    pub(super) home: Option<PathBuf>,
}

impl Tokens {
    /// `text` with the tokens replaced.
    ///
    /// # Errors
    /// A phrase that names the token which is not known.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                expanded.push(c);
                continue;
            }
            match rest.next() {
                Some('%') => expanded.push('%'),
                Some('h') => expanded.push_str(&self.host),
                Some('n') => expanded.push_str(&self.asked),
                Some('p') => expanded.push_str(&self.port.to_string()),
                Some('r') => expanded.push_str(&self.user),
                Some('u') => expanded.push_str(&self.local_user),
                Some('i') => expanded.push_str(&rustix::process::getuid().as_raw().to_string()),
                Some('d') => match &self.home {
                    Some(home) => expanded.push_str(&home.display().to_string()),
                    None => return Err("there is no home directory for %d".into()),
                },
                other => {
                    let token = other.map(String::from).unwrap_or_default();
                    return Err(format!(
                        "the token %{} is not known here",
                        super::tame(&token)
                    ));
                }
            }
        }
        Ok(expanded)
    }

    /// The path that `text` means: tokens, `${VARIABLE}` and a leading `~/` replaced.
    ///
    /// # Errors
    /// A phrase that says what cannot be replaced.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let mut text = self.expand(text)?;
        while let Some(start) = text.find("${") {
            let Some(length) = text[start..].find('}') else {
                return Err("${ without }".into());
            };
            let name = &text[start + 2..start + length];
            let value = std::env::var(name)
                .map_err(|_| format!("there is no variable {:?}", super::tame(name)))?;
            if value.contains("${") {
                return Err(format!("the variable {name:?} names another"));
            }
            text.replace_range(start..=start + length, &value);
        }
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            _ if Path::new(&text).is_absolute() => Ok(text.into()),
            // OpenSSH would take it from wherever it was started; an engine is started anywhere.
            _ => Err(format!("{:?} is not an absolute path", super::tame(&text))),
        }
    }
}

/// A length of time as in `sshd_config(5)`: `90`, `90s`, `1m30s`, `2h`.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            Some('w') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + unit.map_or(0, char::len_utf8)..];
    }
    (!text.is_empty()).then_some(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bastion", None, "bastion", None, "bastion")]
    #[case(
        "ops@bastion:2222",
        Some("ops"),
        "bastion",
        Some(2222),
        "ops@bastion:2222"
    )]
    #[case(
        "ssh://ops@bastion:2222/",
        Some("ops"),
        "bastion",
        Some(2222),
        "ops@bastion:2222"
    )]
    #[case(
        "a@b@[2001:db8::1]:22",
        Some("a@b"),
        "2001:db8::1",
        Some(22),
        "a@b@[2001:db8::1]:22"
    )]
    #[case("2001:db8::1", None, "2001:db8::1", None, "2001:db8::1")]
    fn a_host_of_proxy_jump_is_taken_apart(
        #[case] text: &str,
        #[case] user: Option<&str>,
        #[case] host: &str,
        #[case] port: Option<u16>,
        #[case] shown: &str,
    ) {
        let spec: Spec = text.parse().unwrap();
        assert_eq!(spec.user.as_deref(), user);
        assert_eq!((spec.host.as_str(), spec.port), (host, port));
        assert_eq!(spec.to_string(), shown);
    }

    #[rstest]
    #[case("")]
    #[case("-oProxyCommand=x")]
    #[case("host:0")]
    #[case("host:port")]
    #[case("[::1]22")]
    #[case("a b")]
    #[case("@host")]
    fn what_is_no_host_is_refused(#[case] text: &str) {
        assert!(text.parse::<Spec>().is_err());
    }

    #[rstest]
    #[case("10", Some(10))]
    #[case("1m30s", Some(90))]
    #[case("2H", Some(7200))]
    #[case("0", Some(0))]
    #[case("", None)]
    #[case("x", None)]
    #[case("1y", None)]
    #[case("99999999999999999999", None)]
    fn lengths_of_time_are_read(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(seconds(text), expected.map(Duration::from_secs));
    }

    #[test]
    fn tokens_and_variables_are_replaced_in_paths() {
        let tokens = Tokens {
            host: "10.0.0.1".into(),
            asked: "pc1".into(),
            port: 2222,
            user: "ops".into(),
            local_user: "me".into(),
            home: Some("/home/me".into()),
        };
        let path = |text: &str| tokens.path(text).map(|path| path.display().to_string());
        assert_eq!(
            path("~/.ssh/%r@%h:%p").unwrap(),
            "/home/me/.ssh/ops@10.0.0.1:2222"
        );
        assert_eq!(path("%d/%n%%").unwrap(), "/home/me/pc1%");
        assert_eq!(
            path("/x/${CARGO_PKG_NAME}/y").ok(),
            std::env::var("CARGO_PKG_NAME")
                .ok()
                .map(|name| format!("/x/{name}/y"))
        );
        for wrong in ["%z", "%", "id_rsa", "/${NO_SUCH_VARIABLE_HERE}", "/${x"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>()) {
            let _ = text.parse::<Spec>();
            let _ = seconds(&text);
            let _ = Tokens::default().path(&text);
        }
    }
}
