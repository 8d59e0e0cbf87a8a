//! Many node names in few characters, as clusters write them: `pc[1-3,5],h4`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Folds names that differ only in a number at their end; what cannot be folded stands as it is. Sorted, numbers by value;
/// numbers with leading zeros are only folded with those of the same width.
pub fn fold<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut groups: BTreeMap<(&str, usize), Vec<u64>> = BTreeMap::new();
    let mut alone: Vec<&str> = Vec::new();
    for name in names {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let digits = &name[stem.len()..];
        match digits.parse::<u64>() {
            Ok(number) => {
                // The width counts only where it is kept by zeros.
                let padded = digits.len() > 1 && digits.starts_with('0');
                let width = if padded { digits.len() } else { 0 };
                groups.entry((stem, width)).or_default().push(number);
            }
            Err(_) => alone.push(name),
        }
    }
    // 08, 09 and 10 are one row: a number without zeros joins a padded one of its length.
    let padded: Vec<(&str, usize)> = groups.keys().filter(|key| key.1 > 0).copied().collect();
    for (stem, width) in padded {
        let Some(free) = groups.get_mut(&(stem, 0)) else {
            continue;
        };
        let (fits, rest): (Vec<u64>, Vec<u64>) = free
            .drain(..)
            .partition(|number| number.to_string().len() == width);
        *free = rest;
        groups.entry((stem, width)).or_default().extend(fits);
    }
    let mut parts: Vec<String> = Vec::new();
    for ((stem, width), mut numbers) in groups {
        numbers.sort_unstable();
        numbers.dedup();
        match numbers[..] {
            [] => {}
            [one] => parts.push(format!("{stem}{one:0width$}")),
            _ => parts.push(format!("{stem}[{}]", ranges(&numbers, width))),
        }
    }
    alone.sort_unstable();
    alone.dedup();
    parts.extend(alone.into_iter().map(ToOwned::to_owned));
    parts.join(",")
}

fn ranges(numbers: &[u64], width: usize) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run = (first..)
            .zip(rest)
            .take_while(|(next, number)| next == *number)
            .count();
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{first:0width$}");
        if run > 1 {
            let _ = write!(text, "-{:0width$}", rest[run - 1]);
        }
        rest = &rest[run..];
    }
    text
}

/// The names that `text` stands for: names and folded names with commas between them.
///
/// # Errors
/// A sentence that shows how it is written, when brackets or numbers make no sense, or it stands for more than 100,000.
pub fn expand(text: &str) -> Result<Vec<String>, String> {
    const MOST: usize = 100_000;
    let mut names = Vec::new();
    for part in split(text)? {
        let Some((stem, rest)) = part.split_once('[') else {
            names.push(part.to_owned());
            continue;
        };
        let (inside, tail) = rest
            .split_once(']')
            .ok_or_else(|| format!("{part:?} has no closing bracket; write pc[1-3,5]"))?;
        for range in inside.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let wrong = || format!("{range:?} in {part:?} is no number or range; write pc[1-3,5]");
            let from: u64 = first.parse().map_err(|_| wrong())?;
            let to: u64 = last.parse().map_err(|_| wrong())?;
            let width = if first.starts_with('0') {
                first.len()
            } else {
                0
            };
            let count = to.checked_sub(from).ok_or_else(wrong)?;
            if names.len() as u64 + count > MOST as u64 {
                return Err(format!("{part:?} stands for more than {MOST} nodes"));
            }
            names.extend((from..=to).map(|number| format!("{stem}{number:0width$}{tail}")));
        }
    }
    Ok(names)
}

/// The parts between commas that are not within brackets.
fn split(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut start, mut within) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' if within => return Err(format!("{text:?} has a bracket within brackets")),
            '[' => within = true,
            ']' => within = false,
            ',' if !within => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&["pc1", "pc3", "pc4", "pc5"], "pc[1,3-5]")]
    #[case(&["h4"], "h4")]
    #[case(&["bastion", "pc2", "pc10"], "pc[2,10],bastion")]
    #[case(&["n08", "n09", "n10"], "n[08-10]")]
    #[case(&["a1-b", "a2-b"], "a1-b,a2-b")]
    #[case(&[], "")]
    fn names_are_folded(#[case] names: &[&str], #[case] folded: &str) {
        assert_eq!(fold(names.iter().copied()), folded);
    }

    #[rstest]
    #[case("pc[3-1]")]
    #[case("pc[1")]
    #[case("pc[a]")]
    #[case("pc[[1]]")]
    #[case("pc[1-999999999]")]
    fn what_makes_no_sense_is_refused(#[case] text: &str) {
        assert!(expand(text).is_err());
    }

    proptest! {
        #[test]
        fn what_was_folded_unfolds_to_the_same_names(
            names in prop::collection::btree_set("[a-c]{1,2}-?[0-9]{0,3}", 0..20)
        ) {
            let folded = fold(names.iter().map(String::as_str));
            let mut again = expand(&folded).unwrap();
            again.sort();
            prop_assert_eq!(again, Vec::from_iter(names));
        }
    }
}
