//! A line of `ssh_config(5)` as a keyword and its arguments.

/// Keywords whose argument is all that follows, as it stands: a line for a shell.
const LINES: [&str; 4] = [
    "proxycommand",
    "localcommand",
    "remotecommand",
    "knownhostscommand",
];

/// What a line says; `None` for an empty one and a comment.
///
/// The keyword comes in lower case. After it there may be one `=`. Arguments are separated by blanks, may be quoted with `"`
/// or `'`, and a `#` where an argument would begin ends the line.
///
/// # Errors
/// A phrase, when the line cannot be understood.
pub(super) fn words(line: &str) -> Result<Option<(String, Vec<String>)>, &'static str> {
    let line = line.trim_matches([' ', '\t', '\r', '\x0c']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line.find([' ', '\t', '=', '"']).unwrap_or(line.len());
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let keyword = keyword.to_ascii_lowercase();
    let arguments = if LINES.contains(&keyword.as_str()) {
        let line = rest.trim_start_matches([' ', '\t']);
        Vec::from_iter((!line.is_empty()).then(|| line.to_owned()))
    } else {
        arguments(rest)?
    };
    Ok(Some((keyword, arguments)))
}

fn arguments(text: &str) -> Result<Vec<String>, &'static str> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
        if matches!(rest.peek(), None | Some('#')) {
            return Ok(found);
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = rest.next() {
            match c {
                '\\' => match rest.peek() {
                    Some('"' | '\'' | '\\') => word.extend(rest.next()),
                    Some(' ') if quote.is_none() => word.extend(rest.next()),
                    _ => word.push(c),
                },
                _ if quote == Some(c) => quote = None,
                '"' | '\'' if quote.is_none() => quote = Some(c),
                ' ' | '\t' if quote.is_none() => break,
                _ => word.push(c),
            }
        }
        if quote.is_some() {
            return Err("a quotation mark is not closed");
        }
        found.push(word);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("HostName a", "hostname", &["a"])]
    #[case("  Port=2222  ", "port", &["2222"])]
    #[case("Port = 2222", "port", &["2222"])]
    #[case("User\troot\r", "user", &["root"])]
    #[case(r#"IdentityFile "~/my keys/id""#, "identityfile", &["~/my keys/id"])]
    #[case(r"IdentityFile ~/my\ keys/id", "identityfile", &["~/my keys/id"])]
    #[case("Host a b !c # those", "host", &["a", "b", "!c"])]
    #[case("Host a#b", "host", &["a#b"])]
    #[case(r#"User ="x y""#, "user", &["x y"])]
    #[case("Host", "host", &[])]
    #[case(r#"ProxyCommand = nc -X 5 "%h" '%p' # all of it"#, "proxycommand", &[r#"nc -X 5 "%h" '%p' # all of it"#])]
    fn a_line_is_taken_apart_as_openssh_does(
        #[case] line: &str,
        #[case] keyword: &str,
        #[case] arguments: &[&str],
    ) {
        let (found, words) = words(line).unwrap().unwrap();
        assert_eq!(found, keyword);
        assert_eq!(words, arguments);
    }

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        for line in ["", "   ", "# Host a", "\t#"] {
            assert_eq!(words(line), Ok(None));
        }
        assert!(words("User \"x").is_err());
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in any::<String>()) {
            let _ = words(&line);
        }
    }
}
