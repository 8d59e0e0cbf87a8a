//! One file of the workspace: reading it within limits, and showing pieces of it without its secrets.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Fault, Place, Span, printable};
use super::masks;

/// The largest file that is read, in bytes: an environment of thousands of nodes stays far below.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// What stands in place of a secret, whatever its length.
const MASK: &str = "********";

/// How many characters of a long line are shown, and how many of them before the mark.
const MAX_SHOWN: usize = 160;
const LEAD: usize = 60;

/// A file's text, where its lines begin, and which of its bytes must not be shown.
#[derive(Debug)]
pub(crate) struct Source {
    file: PathBuf,
    text: String,
    lines: Vec<usize>,
    masks: Vec<Span>,
}

impl Source {
    /// A text that is called `file` in diagnostics.
    pub(crate) fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        let text = text.into();
        let lines = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Self {
            file: file.into(),
            text,
            lines,
            masks: Vec::new(),
        }
    }

    /// Reads `root/file`.
    ///
    /// # Errors
    /// A diagnostic when it is not a regular file, cannot be read, is larger than [`MAX_BYTES`] or is not UTF-8.
    pub(crate) fn read(root: &Path, file: &Path) -> Result<Self, Box<Diagnostic>> {
        let refuse = |code, message: String, help: &str| {
            let fault = Fault::error(code, Span::default(), message).help(help);
            Box::new(Self::new(file, "").diagnostic(fault))
        };
        let unreadable = |error: std::io::Error| {
            refuse(
                "unreadable",
                format!("the file cannot be read: {error}"),
                "check that it exists and that you may read it",
            )
        };
        let path = root.join(file);
        // Opening a pipe would wait for its writer for ever, so look before.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(refuse(
                "unreadable",
                "this is not a regular file".into(),
                "put a YAML file in its place",
            ));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(&path)
            .and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(unreadable)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refuse(
                "too-large",
                "the file is larger than 1 MiB".into(),
                "split the environment, or check that this is the file you meant",
            ));
        }
        Self::from_bytes(file, bytes)
    }

    /// Takes `bytes` as the content of `file`.
    ///
    /// # Errors
    /// A diagnostic at the first byte that is not UTF-8.
    pub(crate) fn from_bytes(file: &Path, bytes: Vec<u8>) -> Result<Self, Box<Diagnostic>> {
        String::from_utf8(bytes)
            .map(|text| Self::new(file, text))
            .map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                // Lossy text keeps every byte before the first bad one, so `at` still points at it.
                let mut source = Self::new(file, String::from_utf8_lossy(error.as_bytes()));
                source.mask_by_line();
                Box::new(
                    source.diagnostic(
                        Fault::error(
                            "not-utf8",
                            Span::new(at, at + char::REPLACEMENT_CHARACTER.len_utf8()),
                            "the file is not valid UTF-8",
                        )
                        .label("first bad byte")
                        .help("save the file as UTF-8"),
                    ),
                )
            })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Never show these bytes.
    pub(crate) fn mask(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.masks.extend(spans);
        self.masks.sort_unstable();
        // Apart from each other, so that the one at a position can be found quickly.
        self.masks.dedup_by(|next, last| {
            let overlaps = next.start < last.end;
            if overlaps {
                last.end = last.end.max(next.end);
            }
            overlaps
        });
    }

    /// Masks by the look of each line, for a file whose structure is not known.
    pub(crate) fn mask_by_line(&mut self) {
        let found = masks::by_line(&self.text);
        self.mask(found);
    }

    /// Completes a fault with its file, position and lines.
    pub(crate) fn diagnostic(&self, fault: Fault) -> Diagnostic {
        Diagnostic {
            severity: fault.severity,
            code: fault.code,
            message: self.redact(&fault.message),
            place: self.place(fault.span, &fault.label),
            related: fault
                .related
                .into_iter()
                .map(|(span, label)| self.place(span, &label))
                .collect(),
            help: fault.help.map(|help| self.redact(&help)),
        }
    }

    /// Hides a secret of this file where a message quotes it between backticks.
    fn redact(&self, message: &str) -> String {
        let mut parts: Vec<&str> = message.split('`').collect();
        for part in parts.iter_mut().skip(1).step_by(2) {
            let quoted = part.trim_end_matches('…');
            let hidden = |mask: &Span| {
                let secret = self.text.get(mask.start..mask.end).unwrap_or("");
                let secret = secret.trim_matches(['"', '\'']);
                // The beginning of a long secret is cut off in a quotation; three letters may be in any word.
                !secret.is_empty()
                    && (quoted == secret
                        || (secret.len() > 5 && quoted.contains(secret))
                        || (quoted.len() > 5 && secret.starts_with(quoted)))
            };
            if self.masks.iter().any(hidden) {
                *part = MASK;
            }
        }
        parts.join("`")
    }

    /// Where `span` is, and its first line.
    pub(crate) fn place(&self, span: Span, label: &str) -> Place {
        let start = self.floor(span.start);
        let index = self.lines.partition_point(|line| *line <= start) - 1;
        let from = self.lines[index];
        let to = self.text[from..]
            .find('\n')
            .map_or(self.text.len(), |at| from + at);
        let line = self.text[from..to].trim_end_matches('\r');
        let end = self.floor(span.end).max(start);
        let (text, mark) = if span == Span::default() {
            // Nothing is pointed at: the file as a whole is meant.
            (String::new(), Span::default())
        } else {
            self.excerpt(line, from, Span::new(start, end))
        };
        Place {
            file: self.file.clone(),
            line: index + 1,
            column: self.text[from..start].chars().count() + 1,
            span: Span::new(start, end),
            text,
            mark,
            label: self.redact(label),
        }
    }

    /// The nearest character boundary at or before `at`.
    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    fn mask_at(&self, at: usize) -> Option<&Span> {
        let next = self.masks.partition_point(|mask| mask.start <= at);
        self.masks[..next].last().filter(|mask| at < mask.end)
    }

    /// The line that begins at byte `from`, fit to be shown, and where `span` is in it.
    fn excerpt(&self, line: &str, from: usize, span: Span) -> (String, Span) {
        let before = line
            .char_indices()
            .take_while(|(at, _)| from + at < span.start)
            .count();
        let skip = if before > LEAD && line.chars().nth(MAX_SHOWN).is_some() {
            before - LEAD
        } else {
            0
        };
        let mut shown = String::new();
        let mut mark: Option<Span> = None;
        let mut masked_by = None;
        if skip > 0 {
            shown.push('…');
        }
        for (number, (at, character)) in line.char_indices().enumerate() {
            if number < skip {
                continue;
            }
            if number >= skip + MAX_SHOWN {
                shown.push('…');
                break;
            }
            let at = from + at;
            let mask = self.mask_at(at);
            let begin = shown.len();
            match mask {
                None => shown.push(printable(character)),
                Some(mask) if masked_by == Some(mask) => {}
                Some(_) => shown.push_str(MASK),
            }
            // The rest of a mask adds nothing, yet belongs to its stand-in.
            let begin = if shown.len() == begin {
                begin - MASK.len()
            } else {
                begin
            };
            masked_by = mask;
            if span.start <= at && at < span.end {
                let end = shown.len();
                mark = Some(mark.map_or(Span::new(begin, end), |old| Span::new(old.start, end)));
            }
        }
        // It begins behind the line's end: point just after what is there.
        let mark = mark.unwrap_or_else(|| {
            let end = shown.len();
            Span::new(end, end)
        });
        (shown, mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_columns_in_characters_and_survives_spans_inside_one() {
        let source = Source::new("f.yaml", "a: 1\nñandú: no\r\n");
        let place = source.place(Span::new(14, 16), "");
        assert_eq!((place.line, place.column), (2, 8));
        assert_eq!(&place.text[place.mark.start..place.mark.end], "no");
        assert_eq!(place.text, "ñandú: no");
        // Byte 6 is the second half of ñ.
        assert_eq!(source.place(Span::new(6, 7), "").column, 1);
        assert_eq!(source.place(Span::new(900, 901), "").line, 3);
    }

    #[test]
    fn a_mask_hides_the_value_and_its_length_wherever_the_mark_is() {
        let mut source = Source::new("f.yaml", "secret: hunter2 # mine");
        source.mask([Span::new(8, 15)]);
        let on = source.place(Span::new(8, 15), "");
        assert_eq!(on.text, "secret: ******** # mine");
        assert_eq!(&on.text[on.mark.start..on.mark.end], "********");
        let inside = source.place(Span::new(10, 12), "");
        assert_eq!(&inside.text[inside.mark.start..inside.mark.end], "********");
        let after = source.place(Span::new(18, 22), "");
        assert_eq!(&after.text[after.mark.start..after.mark.end], "mine");
    }

    #[test]
    fn control_characters_and_long_lines_are_tamed() {
        let source = Source::new("f.yaml", format!("{}\u{1b}[2J!", "x".repeat(4000)));
        let place = source.place(Span::new(4004, 4005), "");
        assert!(place.text.chars().count() <= MAX_SHOWN + 2);
        assert!(!place.text.contains('\u{1b}'));
        assert_eq!(&place.text[place.mark.start..place.mark.end], "!");
    }

    #[test]
    fn bytes_that_are_not_utf8_are_pointed_at() {
        let error =
            Source::from_bytes(Path::new("f.yaml"), b"a: 1\nb: \xff\n".to_vec()).unwrap_err();
        assert_eq!((error.place.line, error.place.column), (2, 4));
    }
}
