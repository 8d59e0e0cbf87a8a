//! What `/` means on a list: a regular expression, letter case ignored, `!` in front turns it round.

use regex::{Regex, RegexBuilder};

/// A filter as typed and as understood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub text: String,
    pattern: Option<Regex>,
    inverse: bool,
    /// Why the expression cannot be used; it then matches everything.
    pub mistake: Option<String>,
}

impl Filter {
    pub(crate) fn parse(text: &str) -> Self {
        let (inverse, expression) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut filter = Self {
            text: text.to_owned(),
            inverse,
            ..Self::default()
        };
        if !expression.is_empty() {
            match RegexBuilder::new(expression)
                .case_insensitive(true)
                .size_limit(1 << 20)
                .build()
            {
                Ok(pattern) => filter.pattern = Some(pattern),
                Err(_) => filter.mistake = Some("not a regular expression yet".into()),
            }
        }
        filter
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether a row with this text is shown.
    pub(crate) fn admits(&self, text: &str) -> bool {
        self.pattern
            .as_ref()
            .is_none_or(|pattern| pattern.is_match(text) != self.inverse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exclamation_mark_turns_the_filter_round() {
        assert!(Filter::parse("PC[12]").admits("pc1"));
        assert!(!Filter::parse("!pc[12]").admits("pc1"));
        assert!(Filter::parse("!pc[12]").admits("pc3"));
    }

    #[test]
    fn a_half_typed_expression_hides_nothing_and_says_so() {
        let filter = Filter::parse("pc[");
        assert!(filter.admits("anything"));
        assert!(filter.mistake.is_some());
    }
}
