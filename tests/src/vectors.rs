//! Recorded answers of a real Flagr, and how they are compared with ours.
//!
//! `vectors/README.md` describes the files. Agreement means: for every context
//! and flag the same segment and the same variant.
//!
//! One difference is on purpose: for a bad flag, Flagr refuses the whole set or
//! file, while here that flag alone is bad. A file that Flagr refuses must
//! therefore either not load here, or load with a problem.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment, Variant};
use vexilla_core::snapshot::{Snapshot, TagMatch};
use vexilla_core::{Context, EmptyEntity, Evaluation, Filter, Limits};

/// What comparing one file came to.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub path: PathBuf,
    /// How many flags were compared.
    pub flags: usize,
    /// How many evaluations.
    pub evaluations: usize,
    /// How many other things: refused constraints, files, assigned ids.
    pub other: usize,
    /// What differs, a line each.
    pub mismatches: Vec<String>,
    /// What needs more than the default limits, a line each; it was compared
    /// without limits.
    pub beyond_limits: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:32} {:>5} flags {:>7} evaluations {:>5} other checks {:>4} mismatches \
             {:>4} beyond the default limits",
            self.path.file_name().unwrap_or_default().to_string_lossy(),
            self.flags,
            self.evaluations,
            self.other,
            self.mismatches.len(),
            self.beyond_limits.len()
        )
    }
}

/// All vector files of a folder, sorted by name.
///
/// # Panics
///
/// If the folder cannot be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("reading the folder {}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".json.gz") || name.ends_with(".json")
        })
        .collect();
    files.sort();
    files
}

/// The text of a vector file.
///
/// # Panics
///
/// If it cannot be read.
#[must_use]
pub fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    let outcome = if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(&*bytes).read_to_string(&mut text)
    } else {
        (&*bytes).read_to_string(&mut text)
    };
    outcome.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text
}

/// Any vector file: what is absent tells its kind.
#[derive(Debug, Deserialize)]
pub struct Vectors {
    export: Option<Box<RawValue>>,
    source: Option<String>,
    #[serde(default)]
    flag_ids: Vec<u64>,
    flag_keys: Option<Vec<String>>,
    /// The contexts that every flag is asked for.
    #[serde(default)]
    pub contexts: Vec<Context>,
    #[serde(default)]
    results: Vec<Vec<Option<(u64, u64)>>>,
    #[serde(default)]
    refused: Vec<Refused>,
    #[serde(default)]
    tag_lookups: Vec<TagLookup>,
    #[serde(default)]
    samples: Vec<Exchange>,
    #[serde(default)]
    requests: Vec<Exchange>,
    zero_key: Option<Box<Self>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Refused {
    Constraint {
        constraint: (String, String, String),
    },
    Flag {
        flag: String,
        error: String,
    },
}

#[derive(Debug, Deserialize)]
struct TagLookup {
    tags: Vec<String>,
    operator: Option<String>,
    flag_ids: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    request: Box<RawValue>,
    #[serde(default = "ok")]
    status: u16,
    response: Box<RawValue>,
}

fn ok() -> u16 {
    200
}

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "flagID")]
    flag_id: Option<u64>,
    #[serde(rename = "flagKey")]
    flag_key: Option<String>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    #[serde(rename = "flagID")]
    flag_id: u64,
    flag_key: String,
    #[serde(rename = "flagSnapshotID")]
    flag_snapshot_id: u64,
    #[serde(rename = "segmentID")]
    segment_id: u64,
    #[serde(rename = "variantID")]
    variant_id: u64,
    variant_key: String,
    variant_attachment: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WholeFile {
    Rejected {
        file: String,
        error: serde_json::Value,
    },
    Accepted {
        file: String,
        export: serde_json::Value,
    },
}

impl Vectors {
    /// Reads a file of evaluations.
    ///
    /// # Errors
    ///
    /// If it is of another form.
    pub fn parse(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    /// The flags of the file, compiled.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.flag_set())
    }

    fn flag_set(&self) -> FlagSet {
        let set = match (&self.source, &self.export) {
            (Some(source), _) => FlagSet::from_json(source.as_bytes()),
            (None, Some(export)) => FlagSet::from_export(export.get().as_bytes()),
            (None, None) => return FlagSet::default(),
        };
        set.unwrap_or_else(|error| panic!("the flags of the file: {error}"))
    }
}

/// Compares one file. Only files for a server that speaks Flagr's API are
/// passed over: `None`.
///
/// # Panics
///
/// If the file is of no documented form.
#[must_use]
pub fn compare(path: &Path) -> Option<Report> {
    let text = read(path);
    let mut report = Report {
        path: path.to_owned(),
        flags: 0,
        evaluations: 0,
        other: 0,
        mismatches: Vec::new(),
        beyond_limits: Vec::new(),
    };
    if text.trim_start().starts_with('[') {
        let files: Vec<WholeFile> =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for file in files {
            whole_file(&file, &mut report);
        }
        return Some(report);
    }
    let value: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    if value.get("pairs").is_some() {
        return None;
    }
    let vectors =
        Vectors::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        !vectors.results.is_empty() || !vectors.requests.is_empty(),
        "{}: nothing to compare",
        path.display()
    );
    suite(&vectors, &mut report);
    Some(report)
}

fn suite(vectors: &Vectors, report: &mut Report) {
    let mut snapshot = vectors.snapshot();
    report.flags += snapshot.len();
    let beyond = beyond_limits(vectors, &snapshot);
    if !beyond.is_empty() {
        report.beyond_limits.extend(beyond);
        snapshot = unlimited(vectors.flag_set());
    }
    for problem in snapshot.problems() {
        report.mismatches.push(format!(
            "a flag that Flagr evaluates has a problem: {problem:?}"
        ));
    }
    evaluations(vectors, &snapshot, report);
    for refused in &vectors.refused {
        report.other += 1;
        let (what, set) = match refused {
            Refused::Constraint { constraint } => (format!("{constraint:?}"), with(constraint)),
            Refused::Flag { flag, error } => {
                let document = format!("{{\"Flags\":[{flag}]}}");
                let set = FlagSet::from_json(document.as_bytes());
                (format!("{flag} ({error})"), set.unwrap_or_default())
            }
        };
        if Snapshot::new(set).problems().next().is_none() {
            report
                .mismatches
                .push(format!("Flagr refuses, we do not: {what}"));
        }
    }
    if vectors.source.is_some() {
        assigned_ids(vectors, report);
    }
    for lookup in &vectors.tag_lookups {
        report.other += 1;
        let tags: Vec<_> = lookup.tags.iter().map(String::as_str).collect();
        let how = match lookup.operator.as_deref() {
            Some("ALL") => TagMatch::All,
            _ => TagMatch::Any,
        };
        let flags = snapshot.tagged(&tags, how).into_iter();
        let ours: Vec<_> = flags.map(|flag| flag.id).collect();
        if ours != lookup.flag_ids {
            report.mismatches.push(format!(
                "tags {tags:?} {how:?}: Flagr {:?}, we {ours:?}",
                lookup.flag_ids
            ));
        }
    }
    for exchange in vectors.samples.iter().chain(&vectors.requests) {
        exchange_agrees(&snapshot, exchange, report);
    }
    if let Some(zero_key) = &vectors.zero_key {
        suite(zero_key, report);
    }
}

fn evaluations(vectors: &Vectors, snapshot: &Snapshot, report: &mut Report) {
    let keys: Vec<_> = match &vectors.flag_keys {
        Some(keys) => keys.clone(),
        None => vectors.flag_ids.iter().map(u64::to_string).collect(),
    };
    if vectors.results.len() != vectors.contexts.len() {
        report
            .mismatches
            .push("the file has not one result per context".to_owned());
    }
    for (context, results) in vectors.contexts.iter().zip(&vectors.results) {
        if results.len() != keys.len() {
            report
                .mismatches
                .push("the file has not one result per flag".to_owned());
        }
        for (key, expected) in keys.iter().zip(results) {
            let ours = snapshot.evaluate(key, context, EmptyEntity::NoRollout);
            report.evaluations += 1;
            if decision(&ours) != *expected {
                let explanation = vexilla_core::Flags::new(
                    Arc::new(Snapshot::new(vectors.flag_set())),
                    context.clone(),
                )
                .explain(key);
                report.mismatches.push(format!(
                    "flag {key}, {context:?}: Flagr {expected:?}, we {:?}\n{explanation}",
                    decision(&ours)
                ));
            }
        }
    }
}

/// What of a file needs more than the default limits: flags and evaluations.
fn beyond_limits(vectors: &Vectors, snapshot: &Snapshot) -> Vec<String> {
    let mut beyond: Vec<_> = snapshot
        .problems()
        .filter(|problem| is_beyond_limits(&problem.message))
        .map(|problem| format!("{problem:?}"))
        .collect();
    for context in &vectors.contexts {
        for flag in snapshot.flags() {
            let key = flag.id.to_string();
            let evaluation = snapshot.evaluate(&key, context, EmptyEntity::NoRollout);
            if evaluation.is_beyond_limits() {
                beyond.push(format!("flag {key}, {context:?}"));
            }
        }
    }
    beyond
}

/// Whether a problem is a limit of ours that can be raised.
#[must_use]
pub fn is_beyond_limits(problem: &str) -> bool {
    ["`regex_program_bytes`", "`regex_set_bytes`"]
        .iter()
        .any(|limit| problem.contains(limit))
}

/// Flags compiled with the limits on regular expressions as high as they go.
#[must_use]
pub fn unlimited(set: FlagSet) -> Snapshot {
    let limits = Limits::new()
        .regex_program_bytes(usize::MAX)
        .regex_set_bytes(usize::MAX)
        .regex_work(u64::MAX);
    Snapshot::build(set, &Filter::new(), &limits, None)
}

/// Segment and variant, as the recordings have them.
#[must_use]
pub fn decision(evaluation: &Evaluation<'_>) -> Option<(u64, u64)> {
    evaluation
        .variant_id()
        .map(|variant| (evaluation.segment_id().unwrap_or(0), variant))
}

fn with((property, operator, value): &(String, String, String)) -> FlagSet {
    let segment = Segment::new()
        .constraint(Constraint::new(property, operator, value))
        .distribution("on", 100);
    let flag = Flag::new("refused")
        .enabled(true)
        .variant(Variant::new("on"))
        .segment(segment);
    FlagSet::from(vec![flag])
}

fn assigned_ids(vectors: &Vectors, report: &mut Report) {
    let Some(export) = &vectors.export else {
        return;
    };
    let export: serde_json::Value =
        serde_json::from_str(export.get()).expect("the recorded export is JSON");
    report.other += 1;
    if exported(vectors.flag_set()) != normalized(export) {
        report
            .mismatches
            .push("the export of the file's flags differs from Flagr's".to_owned());
    }
}

fn exchange_agrees(snapshot: &Snapshot, exchange: &Exchange, report: &mut Report) {
    report.evaluations += 1;
    if exchange.status != 200 {
        // Flagr's API refuses a flagID below 1 before anything is evaluated.
        let id = serde_json::from_str::<serde_json::Value>(exchange.request.get())
            .ok()
            .and_then(|request| request["flagID"].as_i64());
        if id.is_none_or(|id| id >= 1) {
            report
                .mismatches
                .push(format!("a request of status {}", exchange.status));
        }
        return;
    }
    let request: Request =
        serde_json::from_str(exchange.request.get()).expect("a recorded request");
    let context: Context =
        serde_json::from_str(exchange.request.get()).expect("a recorded context");
    let mut expected: Answer =
        serde_json::from_str(exchange.response.get()).expect("a recorded answer");
    let ours = snapshot.evaluate_request(
        request.flag_id,
        request.flag_key.as_deref(),
        &context,
        EmptyEntity::NoRollout,
    );
    let unknown = ours.flag_id().is_none();
    let attachment = ours
        .attachment()
        .map(|attachment| serde_json::from_str(attachment.json()).expect("an attachment is JSON"));
    let mut answer = Answer {
        // Of an unknown flag Flagr echoes what was asked for.
        flag_id: ours.flag_id().or(request.flag_id).unwrap_or(0),
        flag_key: ours.flag_key().to_owned(),
        flag_snapshot_id: ours.flag_snapshot_id().unwrap_or(0),
        segment_id: ours.segment_id().unwrap_or(0),
        variant_id: ours.variant_id().unwrap_or(0),
        variant_key: ours.variant_key().unwrap_or_default().to_owned(),
        variant_attachment: attachment.unwrap_or_default(),
    };
    for attachment in [
        &mut answer.variant_attachment,
        &mut expected.variant_attachment,
    ] {
        *attachment = floats(attachment.take());
    }
    if answer != expected {
        report.mismatches.push(format!(
            "{}: Flagr {expected:?}, we {answer:?} (unknown flag: {unknown})",
            exchange.request
        ));
    }
}

fn whole_file(file: &WholeFile, report: &mut Report) {
    report.other += 1;
    match file {
        WholeFile::Rejected { file, error } => {
            if let Ok(set) = FlagSet::from_json(file.as_bytes())
                && Snapshot::new(set).problems().next().is_none()
            {
                report
                    .mismatches
                    .push(format!("Flagr rejects, we do not: {file} ({error})"));
            }
        }
        WholeFile::Accepted { file, export } => match FlagSet::from_json(file.as_bytes()) {
            Ok(set) => {
                for problem in Snapshot::new(set.clone()).problems() {
                    report
                        .mismatches
                        .push(format!("Flagr accepts {file}: {problem:?}"));
                }
                if exported(set) != normalized(export.clone()) {
                    report
                        .mismatches
                        .push(format!("the export of {file} differs from Flagr's"));
                }
            }
            Err(error) => report
                .mismatches
                .push(format!("Flagr accepts {file}: {error}")),
        },
    }
}

/// A set as Flagr would export it: of two flags with one id only the later.
fn exported(set: FlagSet) -> serde_json::Value {
    let mut value = serde_json::to_value(set).expect("flags are JSON");
    if let Some(flags) = value["Flags"].as_array_mut() {
        let mut by_id = std::collections::BTreeMap::new();
        for flag in flags.drain(..) {
            by_id.insert(flag["ID"].as_u64(), flag);
        }
        *flags = by_id.into_values().collect();
    }
    normalized(value)
}

/// Flags sorted by id, numbers as floats, and `null` lists as empty ones:
/// which of the two Flagr prints tells whether a file had the member.
fn normalized(mut export: serde_json::Value) -> serde_json::Value {
    fn lists(value: &mut serde_json::Value) {
        const LISTS: [&str; 5] = [
            "Segments",
            "Variants",
            "Constraints",
            "Distributions",
            "Tags",
        ];
        match value {
            serde_json::Value::Array(items) => items.iter_mut().for_each(lists),
            serde_json::Value::Object(members) => {
                for (name, value) in members.iter_mut() {
                    if name == "Attachment" {
                        *value = floats(value.take());
                        continue;
                    }
                    if LISTS.contains(&name.as_str()) && value.is_null() {
                        *value = serde_json::Value::Array(Vec::new());
                    }
                    lists(value);
                }
            }
            _ => {}
        }
    }
    lists(&mut export);
    if let Some(flags) = export["Flags"].as_array_mut() {
        flags.sort_by_key(|flag| flag["ID"].as_u64());
    }
    export
}

/// All numbers as 64-bit floats.
fn floats(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Number(number) => number.as_f64().into(),
        serde_json::Value::Array(items) => items.into_iter().map(floats).collect(),
        serde_json::Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| (name, floats(value)))
            .collect(),
        other => other,
    }
}
