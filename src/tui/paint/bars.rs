//! Gauges and sparklines.

use ratatui::style::Style;
use ratatui::text::Span;

use super::Look;

/// From here on a gauge is amber, and from [`FULL`] on red.
const HIGH: f32 = 75.0;
const FULL: f32 = 90.0;

impl Look {
    /// The style of a percentage that is bad when high.
    pub(crate) fn level(&self, percent: f32) -> Style {
        match percent {
            p if p >= FULL => self.theme.bad,
            p if p >= HIGH => self.theme.warn,
            _ => self.theme.good,
        }
    }

    /// A bar of `cells` that is filled to `percent`.
    pub(crate) fn gauge(&self, percent: f32, cells: usize, style: Style) -> [Span<'static>; 2] {
        let filled = (percent.clamp(0.0, 100.0) / 100.0 * cells as f32).round();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0.0..=cells"
        )]
        let filled = (filled as usize).min(cells);
        [
            Span::styled(self.glyphs.full.repeat(filled), style),
            Span::styled(self.glyphs.empty.repeat(cells - filled), self.theme.faint),
        ]
    }

    /// The newest `cells` of `values` as a row of blocks, from zero to `top` (or the highest value, if that is more).
    pub(crate) fn spark(
        &self,
        values: &[f32],
        cells: usize,
        top: f32,
        style: Style,
    ) -> Span<'static> {
        let shown = &values[values.len().saturating_sub(cells)..];
        let top = shown.iter().copied().fold(top, f32::max);
        let mut text = " ".repeat(cells - shown.len());
        for value in shown {
            let share = if top > 0.0 { value / top } else { 0.0 };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0.0..=7.0"
            )]
            let level = (share.clamp(0.0, 1.0) * 7.0).round() as usize;
            text.push_str(self.glyphs.levels[level.min(7)]);
        }
        Span::styled(text, style)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::theme::ThemeName;
    use crate::tui::paint::Look;

    #[test]
    fn a_gauge_always_has_its_width() {
        let look = Look::new(ThemeName::Default, false);
        for percent in [-5.0, 0.0, 49.9, 100.0, 250.0, f32::NAN] {
            let cells: usize = look
                .gauge(percent, 10, look.theme.good)
                .iter()
                .map(ratatui::text::Span::width)
                .sum();
            assert_eq!(cells, 10);
        }
    }

    #[test]
    fn a_sparkline_shows_the_newest_values_at_the_right() {
        let look = Look::new(ThemeName::Default, false);
        assert_eq!(
            look.spark(&[1.0, 4.0, 8.0], 2, 8.0, look.theme.good)
                .content,
            "▅█"
        );
        assert_eq!(look.spark(&[8.0], 3, 8.0, look.theme.good).content, "  █");
    }
}
