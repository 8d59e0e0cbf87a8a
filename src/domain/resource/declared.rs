//! A resource as it stands in a recipe: its declaration, and whom a change of it notifies.
//!
//! ```yaml
//! - file: { path: /etc/motd, content: hello }
//!   notify: [greet-again]
//! ```
//!
//! Read by hand, so that a mistake inside of the declaration keeps its place in the file; what serde derives for such a
//! shape would collect everything first and forget where it stood.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, IntoDeserializer, MapAccess, VariantAccess,
    Visitor,
};
use serde::{Deserialize, Serialize};

use super::Resource;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Declared {
    /// What is declared.
    #[serde(flatten)]
    pub resource: Resource,
    /// Handlers to carry out when it changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
}

impl From<Resource> for Declared {
    fn from(resource: Resource) -> Self {
        Self {
            resource,
            notify: Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Declared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DeclaredVisitor)
    }
}

struct DeclaredVisitor;

impl<'de> Visitor<'de> for DeclaredVisitor {
    type Value = Declared;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource, such as `file: { path: … }`, and perhaps `notify`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Declared, A::Error> {
        let mut resource: Option<Resource> = None;
        let mut notify: Option<Vec<String>> = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "notify" {
                if notify.replace(map.next_value()?).is_some() {
                    return Err(A::Error::duplicate_field("notify"));
                }
            } else if let Some(first) = &resource {
                return Err(A::Error::custom(format!(
                    "there is {} already, and {key:?} besides: write each resource as an entry of its own",
                    first.word()
                )));
            } else {
                resource = Some(map.next_value_seed(Kind(&key))?);
            }
        }
        Ok(Declared {
            resource: resource.ok_or_else(|| A::Error::custom("there is no resource here"))?,
            notify: notify.unwrap_or_default(),
        })
    }
}

/// Reads the declaration that follows the name of a kind of resource.
struct Kind<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Kind<'_> {
    type Value = Resource;

    fn deserialize<D: Deserializer<'de>>(self, content: D) -> Result<Resource, D::Error> {
        Resource::deserialize(Variant {
            kind: self.0,
            content,
        })
    }
}

/// A name and what follows it, as serde wants the choice of an enum.
struct Variant<'a, D> {
    kind: &'a str,
    content: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Variant<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Variant<'_, D> {
    type Error = D::Error;
    type Variant = Content<D>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content<D>), D::Error> {
        let kind: StrDeserializer<'_, D::Error> = self.kind.into_deserializer();
        Ok((seed.deserialize(kind)?, Content(self.content)))
    }
}

struct Content<D>(D);

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Content<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        Deserialize::deserialize(self.0)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct("", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Declared, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_resource_may_name_whom_it_notifies_before_or_after_it() {
        let declared = read("directory: { path: /srv }\nnotify: [tell]").unwrap();
        assert_eq!(declared.resource.label(), "directory /srv");
        assert_eq!(declared.notify, ["tell"]);
        assert_eq!(
            read("notify: [tell]\ndirectory: { path: /srv }"),
            Ok(declared)
        );
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let declared = read("directory: { path: /srv }\nnotify: [tell]").unwrap();
        let text = serde_json::to_string(&declared).unwrap();
        assert_eq!(serde_json::from_str::<Declared>(&text).unwrap(), declared);
    }

    #[test]
    fn a_mistake_inside_keeps_its_place() {
        let error = read("directory:\n  path: /srv\n  mood: fine").unwrap_err();
        assert!(error.contains("mood") && error.contains('3'), "{error}");
        let error = read("direktory: { path: /srv }").unwrap_err();
        assert!(error.contains("direktory"), "{error}");
        let error = read("directory: { path: /a }\nfile: { path: /b, content: x }").unwrap_err();
        assert!(error.contains("an entry of its own"), "{error}");
        assert!(read("notify: [tell]").unwrap_err().contains("no resource"));
    }
}
