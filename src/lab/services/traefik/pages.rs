//! Pages in Traefik's manner: `X-Next-Page` is 1 on the last page, a page beyond the end is an error.

use axum::response::Response;
use serde_json::{Value, json};

use crate::lab::services::http::{self, Params, with};

const PER_PAGE: u64 = 100;

/// The page of `entries` that `params` ask for.
pub(crate) fn answer(entries: &[Value], params: &Params) -> Response {
    let number = |name: &str, default: u64| {
        params
            .number(name, default)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| {
                format!(
                    "invalid request: {name}: {}",
                    params.get(name).unwrap_or_default()
                )
            })
    };
    let (page, per_page) = match (number("page", 1), number("per_page", PER_PAGE)) {
        (Ok(page), Ok(per_page)) => (page, per_page),
        (Err(words), _) | (_, Err(words)) => return error(400, &words),
    };
    let total = entries.len() as u64;
    let start = (page - 1).saturating_mul(per_page);
    if start != 0 && start >= total {
        return error(
            400,
            &format!("invalid request: page: {page}, per_page: {per_page}"),
        );
    }
    let end = start.saturating_add(per_page).min(total);
    let next = if end == total { 1 } else { page + 1 };
    // Both are at most the length of the slice.
    let shown = usize::try_from(start)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(start, end)| entries.get(start..end))
        .unwrap_or_default();
    with(http::json(200, shown), "x-next-page", next.to_string())
}

/// An error: JSON that is labelled as plain text.
pub(crate) fn error(status: u16, words: &str) -> Response {
    http::text(status, &format!("{}\n", json!({ "message": words })))
}
