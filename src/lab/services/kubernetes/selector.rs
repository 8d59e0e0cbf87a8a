//! Label and field selectors: comparisons with `=`, `==` and `!=`, joined by commas, and bare label keys.

use serde_json::Value;

/// Conditions that an object must meet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    place: Place,
    /// `None`: the label only has to be there.
    value: Option<String>,
    equal: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Label(String),
    Field(String),
}

impl Selector {
    /// Reads `?labelSelector=` and `?fieldSelector=`.
    ///
    /// # Errors
    /// A sentence about the part that cannot be read.
    pub(crate) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, String> {
        let mut conditions = Vec::new();
        for part in split(labels) {
            let (key, value, equal) = comparison(part);
            if value.is_none() && part.contains([' ', '(', '!', '<', '>']) {
                return Err(format!("unable to parse requirement: {part}"));
            }
            conditions.push(Condition {
                place: Place::Label(key.to_owned()),
                value,
                equal,
            });
        }
        for part in split(fields) {
            let (key, value, equal) = comparison(part);
            if value.is_none() {
                return Err(format!("invalid field selector: {part:?}"));
            }
            conditions.push(Condition {
                place: Place::Field(key.to_owned()),
                value,
                equal,
            });
        }
        Ok(Self { conditions })
    }

    /// Whether it takes everything.
    pub(crate) const fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether `object` meets all conditions.
    pub(crate) fn takes(&self, object: &Value) -> bool {
        self.conditions.iter().all(|condition| {
            let found = match &condition.place {
                Place::Label(key) => object["metadata"]["labels"].get(key),
                Place::Field(path) => path.split('.').try_fold(object, |at, part| at.get(part)),
            };
            let found = found.and_then(Value::as_str);
            match &condition.value {
                None => found.is_some(),
                Some(value) => (found.unwrap_or_default() == value) == condition.equal,
            }
        })
    }
}

fn split(text: Option<&str>) -> impl Iterator<Item = &str> {
    let parts = text.unwrap_or_default().split(',');
    parts.map(str::trim).filter(|part| !part.is_empty())
}

fn comparison(part: &str) -> (&str, Option<String>, bool) {
    for (sign, equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some((key, value)) = part.split_once(sign) {
            return (key.trim(), Some(value.trim().to_owned()), equal);
        }
    }
    (part, None, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_fields_are_compared() {
        let pod = json!({
            "metadata": { "labels": { "app": "web", "tier": "front" } },
            "spec": { "nodeName": "pc1" },
        });
        let takes = |labels, fields| Selector::parse(labels, fields).unwrap().takes(&pod);
        assert!(takes(Some("app=web,tier!=back"), None));
        assert!(takes(Some("app"), Some("spec.nodeName=pc1")));
        assert!(!takes(Some("app==api"), None));
        assert!(!takes(Some("gpu"), None));
        assert!(!takes(None, Some("spec.nodeName!=pc1")));
        assert!(takes(None, None));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(Selector::parse(Some("app in (web, api)"), None).is_err());
        assert!(Selector::parse(None, Some("status.phase")).is_err());
    }
}
