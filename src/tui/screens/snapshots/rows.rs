//! Snapshots as rows, and stores of which there is none.

use ratatui::text::{Line, Span};

use super::super::list::List;
use crate::domain::environment::Environment;
use crate::domain::snapshot::Snapshot;
use crate::tui::measure;
use crate::tui::paint::Look;
use crate::tui::paint::grid::{Column, GridRow, cell};
use crate::tui::world::World;

/// A row.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// A store that nobody has saved.
    None(String),
    /// A snapshot.
    Taken(&'a Snapshot),
}

impl Row<'_> {
    /// The store's name.
    pub(super) fn store(&self) -> &str {
        match self {
            Self::None(store) => store,
            Self::Taken(snapshot) => &snapshot.service,
        }
    }

    /// What tells it from others.
    pub(super) fn id(&self) -> String {
        match self {
            Self::None(store) => store.clone(),
            Self::Taken(snapshot) => snapshot.id(),
        }
    }
}

/// Stores without any snapshot first, then the newest snapshots.
pub(super) fn shown<'a>(world: &'a World, list: &List) -> Vec<Row<'a>> {
    let taken = world.snapshots();
    let stores = world.here().map(Environment::stores).unwrap_or_default();
    let bare = stores
        .into_iter()
        .filter(|store| taken.iter().all(|one| one.service != store.name))
        .map(|store| Row::None(store.name));
    bare.chain(taken.iter().rev().map(Row::Taken))
        .filter(|row| list.filter.is_empty() || list.filter.admits(&row.id()))
        .collect()
}

/// The columns.
pub(super) fn columns() -> Vec<Column> {
    vec![
        Column::new("store", 0),
        Column::number("taken", 0),
        Column::number("size", 1),
        Column::new("verified", 0),
        Column::new("encrypted", 2),
        Column::prose("last drill", 1, 12),
        Column::new("at", 4),
        Column::prose("from", 5, 8),
    ]
}

/// One row.
pub(super) fn row(world: &World, look: &Look, row: &Row<'_>) -> GridRow {
    let theme = &look.theme;
    let glyphs = &look.glyphs;
    let snapshot = match row {
        Row::Taken(snapshot) => snapshot,
        Row::None(store) => {
            let none = format!("{} none yet", glyphs.unknown);
            let mut cells = vec![
                Line::from(look.outer(store, theme.text)),
                cell("-", theme.muted),
                cell("-", theme.muted),
                cell(none, theme.warn),
            ];
            cells.resize_with(8, || cell("-", theme.muted));
            return GridRow::new(store.clone(), cells);
        }
    };
    let verified = match &snapshot.look {
        Some(look) if look.flaw.is_some() => cell(format!("{} damaged", glyphs.bad), theme.bad),
        Some(look) => cell(
            format!("{} {} ago", glyphs.done, measure::age(world.now, look.at)),
            theme.good,
        ),
        None => cell(format!("{} when taken", glyphs.done), theme.good),
    };
    let drill = match &snapshot.drill {
        None => cell("never", theme.muted),
        Some(drill) if drill.flaw.is_some() => cell(
            format!(
                "{} failed {} ago",
                glyphs.bad,
                measure::age(world.now, drill.at)
            ),
            theme.bad,
        ),
        Some(drill) => Line::from(vec![
            Span::styled(
                format!("{} {} ago", glyphs.done, measure::age(world.now, drill.at)),
                theme.good,
            ),
            Span::styled(
                format!(
                    ", {}",
                    measure::latency(u32::try_from(drill.took_ms).unwrap_or(u32::MAX))
                ),
                theme.muted,
            ),
        ]),
    };
    GridRow::new(
        snapshot.id(),
        vec![
            Line::from(look.outer(&snapshot.service, theme.text)),
            cell(
                format!("{} ago", measure::age(world.now, snapshot.taken_at)),
                theme.text,
            ),
            cell(measure::bytes(snapshot.size), theme.muted),
            verified,
            if snapshot.recipients.is_empty() {
                cell("no", theme.muted)
            } else {
                cell("age", theme.good)
            },
            drill,
            cell(
                if snapshot.index > 0 {
                    snapshot.index.to_string()
                } else {
                    "-".into()
                },
                theme.muted,
            ),
            Line::from(look.outer(&snapshot.from, theme.muted)),
        ],
    )
}

/// Everything that is known of one, for reading.
pub(super) fn account(world: &World, snapshot: &Snapshot) -> Vec<String> {
    let mut lines = vec![
        format!(
            "store      {} ({})",
            snapshot.service,
            snapshot.kind.title()
        ),
        format!(
            "taken      {} ({} ago), from {}",
            measure::date(snapshot.taken_at),
            measure::age(world.now, snapshot.taken_at),
            snapshot.from
        ),
        format!(
            "size       {} bytes, the state in it {}",
            snapshot.size, snapshot.state
        ),
        format!("sha256     {}", snapshot.sha256),
        format!("file       {}", snapshot.file.display()),
    ];
    if snapshot.index > 0 {
        lines.push(format!("at         {}", snapshot.index));
    }
    lines.push(match snapshot.recipients.as_slice() {
        [] => "encrypted  no".into(),
        recipients => format!("encrypted  for {}", recipients.join(", ")),
    });
    lines.push(match &snapshot.look {
        None => "verified   when it was taken".into(),
        Some(look) => format!(
            "verified   {}: {}",
            measure::date(look.at),
            look.flaw.as_deref().unwrap_or("whole")
        ),
    });
    lines.push(match &snapshot.drill {
        None => "drill      never".into(),
        Some(drill) => format!(
            "drill      {}, {:.1} s: {}",
            measure::date(drill.at),
            drill.took_ms as f64 / 1000.0,
            drill.flaw.as_deref().unwrap_or(&drill.answers)
        ),
    });
    lines
}
