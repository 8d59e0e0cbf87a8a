//! A form for a recipe's parameters, defaults filled in.

use ratatui::text::{Line, Span};
use serde_json::Value;
use tui_input::Input;

use super::super::keymap::Command;
use super::super::paint::Paint;
use super::super::text;
use super::super::world::World;
use super::{Wish, field};
use crate::domain::plan::PlanRequest;
use crate::domain::recipe::{Param, Recipe};

/// One parameter being filled in.
#[derive(Debug)]
struct Field {
    param: Param,
    input: Input,
}

/// The form.
#[derive(Debug)]
pub(crate) struct Form {
    title: String,
    request: PlanRequest,
    fields: Vec<Field>,
    focus: usize,
    /// Shown after an attempt to go on without a required value.
    missing: bool,
}

impl Form {
    /// A form for `recipe`; what `request` says already is filled in.
    pub(crate) fn new(recipe: &Recipe, request: PlanRequest) -> Self {
        let fields = recipe
            .params
            .iter()
            .map(|param| {
                let value = request.params.get(&param.name).or(param.default.as_ref());
                Field {
                    param: param.clone(),
                    input: Input::new(value.map(shown).unwrap_or_default()),
                }
            })
            .collect();
        Self {
            title: recipe.title.clone(),
            request,
            fields,
            focus: 0,
            missing: false,
        }
    }

    /// The field that has the focus.
    pub(crate) fn input(&mut self) -> Option<&mut Input> {
        self.fields
            .get_mut(self.focus)
            .map(|field| &mut field.input)
    }

    pub(crate) fn update(&mut self, command: Command) -> Vec<Wish> {
        let last = self.fields.len().saturating_sub(1);
        match command {
            Command::NextField => self.focus = (self.focus + 1).min(last),
            Command::Up => self.focus = self.focus.saturating_sub(1),
            Command::Accept if self.focus < last => self.focus += 1,
            Command::Accept | Command::Yes => return self.done(),
            _ => {}
        }
        Vec::new()
    }

    fn done(&mut self) -> Vec<Wish> {
        let empty = |field: &Field| field.input.value().trim().is_empty();
        if let Some(missing) = self
            .fields
            .iter()
            .position(|field| field.param.default.is_none() && empty(field))
        {
            self.focus = missing;
            self.missing = true;
            return Vec::new();
        }
        let mut request = self.request.clone();
        for field in &self.fields {
            if empty(field) {
                request.params.remove(&field.param.name);
            } else {
                let value = read(field.input.value(), field.param.default.as_ref());
                request.params.insert(field.param.name.clone(), value);
            }
        }
        vec![Wish::Close, Wish::Plan(request)]
    }

    pub(crate) fn draw(&self, world: &World, paint: &mut Paint<'_>) {
        let theme = paint.look.theme.clone();
        let height = u16::try_from(self.fields.len() * 2 + 4).unwrap_or(u16::MAX);
        let room = paint.dialog((76, height), &self.title, theme.guard(world.protection()));
        let widest = self
            .fields
            .iter()
            .map(|field| text::width(&field.param.name))
            .max()
            .unwrap_or(0);
        let label = u16::try_from(widest)
            .unwrap_or(u16::MAX)
            .min(room.width / 3)
            + 2;
        let pairs = usize::from(room.height.saturating_sub(1)) / 2;
        let first =
            super::super::paint::grid::first_visible(self.focus, self.fields.len(), pairs.max(1));
        let mut y = room.y;
        for (index, entry) in self.fields.iter().enumerate().skip(first) {
            if y + 1 >= room.bottom() {
                break;
            }
            let focused = index == self.focus;
            let style = if focused { theme.accent } else { theme.muted };
            paint.text(room.x, y, label, &entry.param.name, style);
            let width = room.width.saturating_sub(label);
            field(paint, room.x + label, y, width, &entry.input, focused);
            let lacking = self.missing && focused && entry.input.value().trim().is_empty();
            let (help, style) = if lacking {
                (
                    format!(
                        "{} needs a value: {}",
                        paint.look.glyphs.warn, entry.param.help
                    ),
                    theme.warn,
                )
            } else {
                (entry.param.help.clone(), theme.muted)
            };
            paint.text(room.x + label, y + 1, width, &help, style);
            y += 2;
        }
        let hint = Line::from(vec![
            Span::styled("enter", theme.key),
            Span::styled(" next, then the plan   ", theme.muted),
            Span::styled("ctrl-s", theme.key),
            Span::styled(" plan now   ", theme.muted),
            Span::styled("esc", theme.key),
            Span::styled(" close", theme.muted),
        ]);
        if room.height > 0 {
            paint.line(room.x, room.bottom() - 1, room.width, &hint);
        }
    }
}

/// A value as it stands in a field.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What was typed, as the type its default has.
fn read(text: &str, default: Option<&Value>) -> Value {
    match default {
        Some(Value::String(_)) | None => Value::String(text.to_owned()),
        Some(_) => {
            serde_json::from_str(text.trim()).unwrap_or_else(|_| Value::String(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_keeps_the_type_of_its_default() {
        assert_eq!(read("3", Some(&json!(1))), json!(3));
        assert_eq!(read("3", Some(&json!("1"))), json!("3"));
        assert_eq!(read("true", Some(&json!(false))), json!(true));
        assert_eq!(read("many", Some(&json!(1))), json!("many"));
        assert_eq!(read("1.8.7", None), json!("1.8.7"));
    }
}
