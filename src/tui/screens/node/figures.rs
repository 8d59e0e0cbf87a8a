//! How a node fares, as gauges beside sparklines, and what it is, as words.

use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::domain::facts::Throttled;
use crate::domain::history::Point;
use crate::domain::live::{NodeReport, Observed};
use crate::domain::node::{Jump, Node};
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::world::{Trend, World};

/// Cells for labels.
const LABEL: usize = 11;
/// A row with fewer cells has its words without a sparkline.
const NARROW: u16 = 46;

fn label(look: &Look, name: &str) -> Span<'static> {
    Span::styled(format!("{name:<LABEL$}"), look.theme.muted)
}

/// Rows of figures, as one screen has room for.
struct Figures<'a> {
    look: &'a Look,
    trend: Option<&'a Trend>,
    plain: Style,
    /// Cells of a gauge.
    gauge: usize,
    /// Cells of a sparkline.
    spark: usize,
}

impl Figures<'_> {
    /// A share of something, how it was lately, and a few words.
    fn share(
        &self,
        name: &str,
        percent: Option<f32>,
        history: Option<fn(&Point) -> Option<f32>>,
        words: &str,
    ) -> Line<'static> {
        let look = self.look;
        let mut spans = vec![look.outer(&format!("{name:<LABEL$}"), look.theme.muted)];
        let Some(percent) = percent else {
            spans.push(Span::styled("not known", look.theme.muted));
            return Line::from(spans);
        };
        spans.extend(look.gauge(percent, self.gauge, look.level(percent)));
        spans.push(Span::styled(
            format!(" {:>4}  ", measure::percent(percent)),
            self.plain,
        ));
        if self.spark > 0 {
            spans.push(match history {
                Some(of) => self.history(of, 25.0),
                None => Span::raw(" ".repeat(self.spark)),
            });
            spans.push(Span::raw("  "));
        }
        spans.push(look.outer(words, look.theme.muted));
        Line::from(spans)
    }

    /// A figure without a limit: how it was lately, and what it is.
    fn figure(
        &self,
        name: &str,
        of: fn(&Point) -> Option<f32>,
        top: f32,
        words: &str,
        style: Style,
    ) -> Line<'static> {
        let mut spans = vec![label(self.look, name)];
        if self.spark > 0 {
            // Under the sparklines of the shares.
            let room = self.gauge + 7;
            let words: String = words.chars().take(room).collect();
            spans.push(self.look.outer(&format!("{words:<room$}"), style));
            spans.push(self.history(of, top));
        } else {
            spans.push(self.look.outer(words, style));
        }
        Line::from(spans)
    }

    fn history(&self, of: fn(&Point) -> Option<f32>, top: f32) -> Span<'static> {
        let values = self.trend.map(|trend| trend.of(of)).unwrap_or_default();
        self.look
            .spark(&values, self.spark, top, self.look.theme.info)
    }
}

/// How the node fares.
pub(super) fn lines(
    look: &Look,
    world: &World,
    node: &Node,
    report: &NodeReport,
    room: Rect,
) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let plain = Style {
        bg: None,
        ..theme.text
    };
    let width = room.width;
    let spark = if width < NARROW { 0 } else { width / 4 };
    let figures = Figures {
        look,
        trend: world.trend(&node.name),
        plain,
        gauge: usize::from((width / 7).clamp(8, 16)),
        spark: usize::from(spark.min(60)),
    };
    let sample = &report.sample;
    let used = sample.memory_total.saturating_sub(sample.memory_available);
    let pair =
        |used: u64, total: u64| format!("{} of {}", measure::bytes(used), measure::bytes(total));
    let mut lines = vec![
        figures.share("cpu", sample.cpu_percent, Some(|point| point.cpu), ""),
        figures.share(
            "memory",
            sample.memory_used_percent(),
            Some(|point| point.memory),
            &pair(used, sample.memory_total),
        ),
    ];
    if let (Some(percent), Some(used), Some(total)) = (
        sample.swap_used_percent(),
        sample.swap_used,
        sample.swap_total,
    ) {
        lines.push(figures.share("swap", Some(percent), None, &pair(used, total)));
    }
    // Of many file systems the fullest, below the root.
    let mut others: Vec<_> = sample
        .disks
        .iter()
        .filter(|disk| disk.mount != "/")
        .collect();
    others.sort_by(|a, b| {
        b.used_percent()
            .unwrap_or(0.0)
            .total_cmp(&a.used_percent().unwrap_or(0.0))
    });
    others.truncate(if room.height < 24 { 1 } else { 6 });
    lines.push(
        figures.share(
            "disk /",
            sample.disk_used_percent(),
            None,
            &sample
                .disk_used
                .zip(sample.disk_total)
                .map_or_else(String::new, |(used, total)| pair(used, total)),
        ),
    );
    for disk in others {
        // The end of a long path says more than its beginning.
        let skip = disk.mount.chars().count().saturating_sub(LABEL - 1);
        let name: String = disk.mount.chars().skip(skip).collect();
        lines.push(figures.share(
            &name,
            disk.used_percent(),
            None,
            &pair(disk.used, disk.total),
        ));
    }
    if let Some([one, five, fifteen]) = sample.load_known() {
        let words = format!("{one:.2} {five:.2} {fifteen:.2}");
        lines.push(figures.figure("load", |point| point.load, 0.5, &words, plain));
    }
    let rate = |bytes: u64| format!("{}/s", measure::bytes(bytes));
    if let Some(received) = sample.received {
        lines.push(figures.figure(
            "net in",
            |point| point.received,
            1.0,
            &rate(received),
            plain,
        ));
    }
    if let Some(sent) = sample.sent {
        lines.push(figures.figure("net out", |point| point.sent, 1.0, &rate(sent), plain));
    }
    if let Some(celsius) = sample.temperature {
        let style = if celsius >= crate::domain::finding::HOT_CELSIUS {
            theme.bad
        } else {
            plain
        };
        let words = format!("{celsius:.0} °C");
        lines.push(figures.figure("hottest", |point| point.temperature, 90.0, &words, style));
    }
    lines.extend(trouble(look, sample.throttled, &sample.failed_units));
    lines
}

/// What holds the node back, and what has failed on it.
fn trouble(look: &Look, throttled: Option<Throttled>, failed: &[String]) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let mut lines = Vec::new();
    if let Some(throttled) = throttled {
        let (now, ever) = (throttled.now(), throttled.ever());
        if !now.is_empty() {
            lines.push(Line::from(vec![
                label(look, "held back"),
                look.outer(
                    &format!("{} {}", look.glyphs.warn, now.join(", ")),
                    theme.warn,
                ),
            ]));
        } else if !ever.is_empty() {
            lines.push(Line::from(vec![
                label(look, "held back"),
                look.outer(
                    &format!("not now; since its start: {}", ever.join(", ")),
                    theme.muted,
                ),
            ]));
        }
    }
    if !failed.is_empty() {
        lines.push(Line::from(vec![
            label(look, "failed"),
            look.outer(
                &format!("{} {}", look.glyphs.bad, failed.join(" ")),
                theme.bad,
            ),
        ]));
    }
    lines
}

/// What the node is: as declared, then as it says itself.
pub(super) fn facts(
    look: &Look,
    world: &World,
    node: &Node,
    observed: Option<&Observed<NodeReport>>,
) -> Vec<Line<'static>> {
    let plain = Style {
        bg: None,
        ..look.theme.text
    };
    let mut lines = Vec::new();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(Line::from(vec![
                label(look, name),
                look.outer(&value, plain),
            ]));
        }
    };
    let roles: Vec<&str> = node.roles.iter().map(|role| role.word()).collect();
    let labels: Vec<String> = node
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    fact("address", node.place());
    if let Some(Jump::Through(jump)) = &node.ssh.jump {
        fact("through", jump.clone());
    }
    fact("platform", format!("{} {}", node.platform, node.arch));
    fact("roles", roles.join(" "));
    fact("labels", labels.join(" "));
    if let Some(report) = observed.and_then(|seen| seen.value.as_ref()) {
        for (name, value) in report.facts.in_words() {
            fact(name, value);
        }
        fact("uptime", measure::uptime(report.sample.uptime));
        let cost = report
            .sample
            .probe_percent
            .map_or_else(String::new, |percent| {
                format!(", costs it {percent:.2}% of a cpu")
            });
        fact(
            "latency",
            format!("{}{cost}", measure::latency(report.latency_ms)),
        );
    }
    let as_of = observed
        .and_then(|seen| seen.as_of)
        .map_or_else(String::new, |at| {
            format!("{} ago", measure::age(world.now, at))
        });
    fact("as of", as_of);
    lines
}
