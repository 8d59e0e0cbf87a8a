//! Diagnostics as text, in the manner of rustc.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Level, Message, Origin, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Place, Severity, Span, count, printable};

/// All `diagnostics` with their lines and carets, and a last line that counts them. Empty when there are none.
///
/// With `colour`, ANSI colours are used. What the files say can add neither colours nor other control characters.
pub fn render(diagnostics: &[Diagnostic], colour: bool) -> String {
    if diagnostics.is_empty() {
        return String::new();
    }
    let renderer = if colour {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    // Plain signs: they look the same on a serial console and in a log.
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&one(&renderer, diagnostic));
        text.push_str("\n\n");
    }
    let errors = diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.is_error())
        .count();
    let warnings = diagnostics.len() - errors;
    let counted = [(errors, "error"), (warnings, "warning")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| count(number, what))
        .collect::<Vec<_>>();
    text.push_str(&counted.join(", "));
    text.push('\n');
    text
}

fn one(renderer: &Renderer, diagnostic: &Diagnostic) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level
        .primary_title(clean(&diagnostic.message))
        .id(diagnostic.code)
        .element(element(&diagnostic.place, AnnotationKind::Primary));
    for place in &diagnostic.related {
        group = group.element(element(place, AnnotationKind::Context));
    }
    if let Some(help) = &diagnostic.help {
        let message: Message<'_> = Level::HELP.message(clean(help));
        group = group.element(Element::from(message));
    }
    renderer.render(&[group])
}

fn element(place: &Place, kind: AnnotationKind) -> Element<'_> {
    let file = clean(&place.file.display().to_string());
    if place.span == Span::default() {
        return Origin::path(file).into();
    }
    let mut mark = kind.span(place.mark.start..place.mark.end);
    if !place.label.is_empty() {
        mark = mark.label(clean(&place.label));
    }
    Snippet::source(place.text.as_str())
        .line_start(place.line)
        .path(file)
        .annotation(mark)
        .into()
}

/// Line breaks stay, they are ours; everything else that could move the cursor goes.
fn clean(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character == '\n' {
                '\n'
            } else {
                printable(character)
            }
        })
        .collect()
}
