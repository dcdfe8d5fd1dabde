//! The flags of all recordings of a real Flagr come back as they were.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::value::RawValue;

use super::*;

/// The documents of a file of recorded answers.
#[derive(Deserialize)]
struct Vectors {
    export: Option<Box<RawValue>>,
    source: Option<String>,
    file: Option<String>,
    #[serde(default)]
    refused: Vec<serde_json::Value>,
    zero_key: Option<Box<Self>>,
}

impl Vectors {
    /// Checks every document, read in both ways; gives how many sets that were.
    fn check(&self) -> usize {
        let export = self.export.iter().map(|export| export.get().to_owned());
        let refused = self
            .refused
            .iter()
            .filter_map(|refused| refused["flag"].as_str());
        let documents = export
            .chain(self.source.clone())
            .chain(self.file.clone())
            .chain(refused.map(|flag| format!("{{\"Flags\":[{flag}]}}")));
        let mut sets = 0;
        for document in documents {
            let document = document.as_bytes();
            for set in [FlagSet::from_json(document), FlagSet::from_export(document)] {
                let Ok(set) = set else { continue };
                sets += 1;
                assert_comes_back(&set);
            }
        }
        sets + self.zero_key.as_ref().map_or(0, |nested| nested.check())
    }
}

#[test]
fn the_flags_of_all_recordings_come_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    let (mut files, mut sets) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "gz") {
            continue;
        }
        let mut text = String::new();
        let bytes = std::fs::read(&path).unwrap();
        GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
        let all: Vec<Vectors> = if text.trim_start().starts_with('[') {
            serde_json::from_str(&text).unwrap()
        } else {
            vec![serde_json::from_str(&text).unwrap()]
        };
        let here: usize = all.iter().map(Vectors::check).sum();
        assert!(here > 0, "no flags in {}", path.display());
        files += 1;
        sets += here;
    }
    println!("{sets} sets of flags in {files} files");
    assert!(files >= 15 && sets >= 300, "{files} files, {sets} sets");
}
