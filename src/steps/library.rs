//! The recipes that can be run: those inside the binary (`assets/recipes/`), and those of the workspace's `recipes/`
//! directory, which replace built-in ones of the same name.
//!
//! A recipe is checked when it is read, so that every [`Recipe`] of the library can be planned. One that is wrong is left
//! out and told as a [`Problem`] with its place; the others stay usable.

mod calls;
mod files;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;
use serde_saphyr::localizer::Localizer;
use serde_saphyr::{
    DefaultMessageFormatter, Error as YamlError, Location, RenderOptions, SnippetMode,
};

use super::check;
use super::template::did_you_mean;
use crate::domain::recipe::{Recipe, files_beside};

/// The longest file that is read as a recipe, bytes.
const FILE_LIMIT: u64 = 1024 * 1024;

#[derive(RustEmbed)]
#[folder = "assets/recipes"]
#[include = "*.yaml"]
struct BuiltIn;

/// Something wrong with a recipe file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file; for a built-in recipe, its path in the source tree.
    pub file: PathBuf,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u64,
    /// Column in characters, from 1; 0 as for `line`.
    pub column: u64,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}", self.message)
    }
}

/// Where a recipe comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From inside the binary.
    BuiltIn,
    /// From this file of the workspace.
    File(PathBuf),
}

/// There is no recipe of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no recipe called {name:?}{hint}")]
pub struct UnknownRecipe {
    /// What was asked for.
    pub name: String,
    /// `; did you mean …?`, or what there is, or what is wrong with the file of that name.
    pub hint: String,
}

/// Recipes by name.
#[derive(Debug, Clone, Default)]
pub struct Library {
    recipes: BTreeMap<String, (Recipe, Origin)>,
    problems: Vec<Problem>,
}

impl Library {
    /// The built-in recipes and those in `directory`, whose files end in `.yaml` or `.yml`. A directory that does not
    /// exist holds none.
    pub fn load(directory: Option<&Path>) -> Self {
        let mut library = Self::default();
        for name in BuiltIn::iter() {
            let Some(file) = BuiltIn::get(&name) else {
                continue;
            };
            let path = Path::new("assets/recipes").join(&*name);
            library.add(&path, &file.data, Origin::BuiltIn);
        }
        if let Some(directory) = directory {
            library.load_directory(directory);
        }
        library.connect();
        library
    }

    /// Puts the steps of called recipes in the place of the calls. This comes last, when it is known which recipes the
    /// workspace replaces.
    fn connect(&mut self) {
        let all: BTreeMap<String, &Recipe> = self
            .recipes
            .iter()
            .map(|(name, (recipe, _))| (name.clone(), recipe))
            .collect();
        let calls = |recipe: &Recipe| recipe.steps.iter().any(|step| step.recipe.is_some());
        let flat: Vec<(String, Result<Recipe, String>)> = all
            .iter()
            .filter(|(_, recipe)| calls(recipe))
            .map(|(name, recipe)| (name.clone(), calls::flatten(recipe, &all)))
            .collect();
        for (name, outcome) in flat {
            let Some((recipe, origin)) = self.recipes.get_mut(&name) else {
                continue;
            };
            match outcome {
                Ok(flat) => *recipe = flat,
                Err(reason) => {
                    let file = match origin {
                        Origin::File(file) => file.clone(),
                        Origin::BuiltIn => Path::new("assets/recipes").join(format!("{name}.yaml")),
                    };
                    self.recipes.remove(&name);
                    self.problem(&file, reason);
                }
            }
        }
    }

    /// The recipe called `name`.
    ///
    /// # Errors
    /// [`UnknownRecipe`] with the nearest name.
    pub fn recipe(&self, name: &str) -> Result<&Recipe, UnknownRecipe> {
        if let Some((recipe, _)) = self.recipes.get(name) {
            return Ok(recipe);
        }
        let broken = self
            .problems
            .iter()
            .find(|problem| stem(&problem.file) == Some(name));
        let near = did_you_mean(name, self.recipes.keys().map(String::as_str));
        let hint = if let Some(problem) = broken {
            format!(", because its file is wrong: {problem}")
        } else if near.is_empty() {
            let all: Vec<&str> = self.recipes.keys().map(String::as_str).collect();
            format!("; there are {}", all.join(", "))
        } else {
            near
        };
        Err(UnknownRecipe {
            name: name.to_owned(),
            hint,
        })
    }

    /// Every recipe, by name.
    pub fn recipes(&self) -> impl Iterator<Item = &Recipe> {
        self.recipes.values().map(|(recipe, _)| recipe)
    }

    /// Where the recipe called `name` comes from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.recipes.get(name).map(|(_, origin)| origin)
    }

    /// What is wrong with files that were left out.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    fn load_directory(&mut self, directory: &Path) {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.problem(directory, format!("cannot be listed: {error}"));
                return;
            }
        };
        let mut files = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => files.push(entry.path()),
                Err(error) => self.problem(directory, format!("cannot be listed: {error}")),
            }
        }
        files.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
        });
        // The order of a directory is nobody's choice: sorted, two files of one name give the same answer every time.
        files.sort();
        for path in files {
            match read_limited(&path) {
                Ok(content) => {
                    let origin = Origin::File(path.clone());
                    self.add(&path, &content, origin);
                }
                Err(reason) => self.problem(&path, reason),
            }
        }
    }

    fn add(&mut self, path: &Path, content: &[u8], origin: Origin) {
        let files = match &origin {
            Origin::BuiltIn => None,
            Origin::File(file) => file.parent().map(files_beside),
        };
        match parse(path, content, files.as_deref()) {
            Ok(recipe) => {
                self.recipes.insert(recipe.name.clone(), (recipe, origin));
            }
            Err(problems) => self.problems.extend(problems),
        }
    }

    fn problem(&mut self, path: &Path, message: String) {
        self.problems.push(whole_file(path, message));
    }
}

/// Reads one recipe and checks it. `path` is for messages; its stem must be the recipe's name. What it is made from lies
/// in `directory` (see [`files_beside`]).
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn parse(
    path: &Path,
    content: &[u8],
    directory: Option<&Path>,
) -> Result<Recipe, Vec<Problem>> {
    let text = std::str::from_utf8(content)
        .map_err(|error| vec![whole_file(path, format!("is not UTF-8 text: {error}"))])?;
    let mut recipe: Recipe = read_yaml(path, text)?;
    let places: check::Places = read_yaml(path, text)?;
    let mut faults = Vec::new();
    for (step, at) in recipe
        .steps
        .iter_mut()
        .chain(&mut recipe.handlers)
        .zip(places.steps())
    {
        let id = step.id.clone();
        let reasons = files::bring(step, directory).into_iter();
        faults.extend(reasons.map(|reason| check::Fault {
            at,
            message: format!("step {id:?}: {reason}"),
        }));
    }
    faults.extend(check::faults(&recipe, &places));
    if stem(path) != Some(recipe.name.as_str()) {
        faults.push(check::Fault {
            at: places.name.referenced,
            message: format!(
                "the recipe is called {:?}, so its file must be called {0}.yaml",
                recipe.name
            ),
        });
    }
    if faults.is_empty() {
        return Ok(recipe);
    }
    faults.sort_by_key(|fault| (fault.at.line(), fault.at.column()));
    Err(faults
        .into_iter()
        .map(|fault| at(path, fault.at, fault.message))
        .collect())
}

fn read_yaml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, Vec<Problem>> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().unwrap_or(Location::UNKNOWN);
        vec![at(path, place, yaml_message(&error))]
    })
}

/// The error's words without its place, which [`Problem`] has already.
fn yaml_message(error: &YamlError) -> String {
    struct WithoutPlace;
    impl Localizer for WithoutPlace {
        fn attach_location<'a>(&self, base: Cow<'a, str>, _: Location) -> Cow<'a, str> {
            base
        }
    }
    let formatter = DefaultMessageFormatter.with_localizer(&WithoutPlace);
    let mut options = RenderOptions::default();
    options.formatter = &formatter;
    options.snippets = SnippetMode::Off;
    error.render_with_options(options)
}

fn at(path: &Path, place: Location, message: String) -> Problem {
    Problem {
        file: path.to_owned(),
        line: place.line(),
        column: place.column(),
        message,
    }
}

fn whole_file(path: &Path, message: String) -> Problem {
    Problem {
        file: path.to_owned(),
        line: 0,
        column: 0,
        message,
    }
}

fn stem(path: &Path) -> Option<&str> {
    path.file_stem().and_then(|stem| stem.to_str())
}

fn read_limited(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let mut content = Vec::new();
    fs::File::open(path)
        .map_err(cannot)?
        .take(FILE_LIMIT + 1)
        .read_to_end(&mut content)
        .map_err(cannot)?;
    if content.len() as u64 > FILE_LIMIT {
        return Err("is larger than 1 MiB".into());
    }
    Ok(content)
}

#[cfg(test)]
mod tests;
