//! Seeds out of the recorded answers of a real Flagr (`tests/vectors`).

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// What is recorded, as far as targets take their seeds from it.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Documents of flags: small whole ones, and single flags as a document.
    pub documents: Vec<String>,
    /// Property, operator and value of constraints, each once.
    pub constraints: Vec<[String; 3]>,
    /// Contexts in the form of Flagr's API.
    pub contexts: Vec<String>,
}

/// Of so many of a kind, evenly spread, seeds are made.
const MOST: usize = 400;

/// Longer ones are no seeds.
const LONGEST: usize = 8 << 10;

#[derive(Deserialize)]
struct Suite {
    export: Option<Set>,
    #[serde(default)]
    contexts: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Document {
    file: String,
}

#[derive(Deserialize)]
struct Set {
    #[serde(rename = "Flags")]
    flags: Vec<Value>,
}

impl Recorded {
    /// Reads all recorded files.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    #[must_use]
    pub fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
        let mut paths: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder of the recorded answers")
            .map(|entry| entry.expect("an entry of the folder").path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
            .collect();
        paths.sort();
        let mut documents = BTreeSet::new();
        let mut constraints = BTreeSet::new();
        let mut contexts = BTreeSet::new();
        for path in paths {
            let bytes = std::fs::read(&path).expect("a recorded file");
            let mut text = String::new();
            GzDecoder::new(&*bytes)
                .read_to_string(&mut text)
                .expect("a gzipped text");
            if text.starts_with('[') {
                let files: Vec<Document> = serde_json::from_str(&text).expect("documents");
                documents.extend(files.into_iter().map(|document| document.file));
                continue;
            }
            let suite: Suite = serde_json::from_str(&text).expect("a suite");
            let recorded = suite.contexts.iter();
            contexts.extend(recorded.map(|context| context.get().to_owned()));
            for flag in suite.export.into_iter().flat_map(|set| set.flags) {
                add_constraints(&flag, &mut constraints);
                documents.insert(format!("{{\"Flags\":[{flag}]}}"));
            }
        }
        Self {
            documents: spread(documents, String::len),
            constraints: spread(constraints, |[_, _, value]| value.len()),
            contexts: spread(contexts, String::len),
        }
    }

    /// The context of this number, in turn.
    #[must_use]
    pub fn context(&self, number: usize) -> &str {
        let count = self.contexts.len().max(1);
        self.contexts.get(number % count).map_or("{}", |c| c)
    }
}

fn add_constraints(flag: &Value, constraints: &mut BTreeSet<[String; 3]>) {
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    for segment in list(flag, "Segments") {
        for constraint in list(&segment, "Constraints") {
            let text = |name: &str| constraint[name].as_str().unwrap_or_default().to_owned();
            constraints.insert(["Property", "Operator", "Value"].map(text));
        }
    }
}

/// At most [`MOST`] of the items that are not too long, evenly spread.
fn spread<T>(items: BTreeSet<T>, length: impl Fn(&T) -> usize) -> Vec<T> {
    let items: Vec<_> = items
        .into_iter()
        .filter(|item| length(item) <= LONGEST)
        .collect();
    let step = items.len().div_ceil(MOST).max(1);
    items.into_iter().step_by(step).collect()
}
