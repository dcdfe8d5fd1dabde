//! Random flags and contexts, evaluated by a running Flagr and by us.
//!
//! Each round creates flags through Flagr's REST API, waits until its
//! evaluation cache has them, reads the export, asks both sides and deletes the
//! flags again. What is compared: which constraints are refused, and of each
//! evaluation the flag, segment, variant and attachment.
//!
//! Flagr refuses its whole reload when the constraints of one segment parse
//! each by themselves but not together. Such a flag is told by our own parser
//! and deleted before the server would load it; when one is not told, the
//! export never catches up, which the report names as a mismatch. Each run ends
//! with such a flag on purpose.

mod compare;
mod constraints;
mod contexts;
mod flags;
mod json;
mod literals;
mod numbers;
mod patterns;
mod properties;
pub mod random;
mod server;
mod shrink;
mod strings;

use std::fmt;

use vexilla_core::flag::FlagSet;
use vexilla_core::flag::{Constraint, Flag, Segment};
use vexilla_core::snapshot::Snapshot;

use compare::Mismatch;
use contexts::Visitor;
use flags::Generated;
use random::Random;
use server::{Created, Failure, Server};

use crate::vectors;

/// Flags of one round.
const FLAGS: usize = 40;
/// Flags that are evaluated together.
const TOGETHER: usize = 4;
/// Contexts made for each flag; all flags evaluated together get them.
const CONTEXTS: usize = 50;
/// Mismatches that are made small; the others are counted.
const SHRUNK: usize = 5;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Report {
    flags: usize,
    evaluations: usize,
    /// Evaluations that assigned a variant.
    assigned: usize,
    constraints: usize,
    refused: usize,
    /// Flags that Flagr would take and could then not load.
    unloadable: usize,
    /// Constraints, flags and evaluations beyond our limits.
    beyond_limits: usize,
    differences: usize,
    shrunk: usize,
}

impl Report {
    /// How many things differ.
    #[must_use]
    pub fn differences(&self) -> usize {
        self.differences
    }

    /// How many evaluations were compared.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.evaluations
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} flags ({} that no Flagr could load), {} constraints ({} refused), \
             {} evaluations ({} with a variant): {} differences, {} beyond our limits",
            self.flags,
            self.unloadable,
            self.constraints,
            self.refused,
            self.evaluations,
            self.assigned,
            self.differences,
            self.beyond_limits
        )
    }
}

/// Compares so many rounds of random flags with the Flagr at this address;
/// `log` gets each difference as it is found. The first round uses `seed`, the
/// second `seed + 1` and so on.
///
/// # Errors
///
/// When the server cannot be reached or answers something unexpected.
pub async fn run(
    url: &str,
    seed: u64,
    rounds: u64,
    log: impl Fn(&str),
) -> Result<Report, Box<dyn std::error::Error>> {
    let server = Server::new(url);
    let mut report = Report::default();
    for seed in (0..rounds).map(|round| seed.wrapping_add(round)) {
        let mut created = Vec::new();
        let mut findings = Findings::default();
        let outcome = compare_round(
            &server,
            &mut Random::new(seed),
            &mut created,
            &mut findings,
            &mut report,
        )
        .await;
        for id in created {
            server.delete(id).await?;
        }
        outcome?;
        report.differences += findings.other.len() + findings.mismatches.len();
        for line in findings.other {
            log(&format!("seed {seed}: {line}"));
        }
        for mut mismatch in findings.mismatches {
            if report.shrunk < SHRUNK {
                report.shrunk += 1;
                mismatch = shrink::shrink(&server, mismatch).await?;
            }
            log(&format!("seed {seed}:\n{mismatch}"));
        }
    }
    if !stops_loading(&server).await? {
        report.differences += 1;
        log("Flagr loads a flag whose constraints do not parse together");
    }
    Ok(report)
}

/// Whether both sides refuse a comment that one constraint opens and another
/// one closes.
async fn stops_loading(server: &Server) -> Result<bool, Failure> {
    let newest = server.newest().await?;
    let segment = Segment::new()
        .constraint(Constraint::new("p", "EQ", "1) /*"))
        .constraint(Constraint::new("q/* c */", "EQ", "1"));
    let flag = Flag::new(format!("live-{newest}")).segment(segment);
    let created = server.create(&flag).await?;
    let refused = compare::problem(created.flag.clone()).is_some();
    let stopped = server.export().await?.is_none();
    server.delete(created.id).await?;
    Ok(refused && stopped && created.flag == flag)
}

/// What differs in one round.
#[derive(Debug, Default)]
struct Findings {
    mismatches: Vec<Mismatch>,
    /// Refused constraints and flags, a line each.
    other: Vec<String>,
}

/// One round; the ids of flags that exist afterwards are in `left`.
async fn compare_round(
    server: &Server,
    random: &mut Random,
    left: &mut Vec<u64>,
    findings: &mut Findings,
    report: &mut Report,
) -> Result<(), Failure> {
    let mut flags: Vec<(Created, Generated)> = Vec::new();
    // Flagr never gives a key twice, not even that of a deleted flag.
    let newest = server.newest().await?;
    while flags.len() < FLAGS {
        let mut generated = flags::flag(format!("live-{newest}-{}", report.flags), random);
        if let (Some(id), true) = (left.last(), random.chance(4)) {
            // A key that is another flag's id.
            generated.flag.key = id.to_string();
        }
        let created = server.create(&generated.flag).await?;
        report.flags += 1;
        report.constraints += created.constraints.len();
        let refused = created
            .constraints
            .iter()
            .filter(|(_, outcome)| outcome.is_err());
        report.refused += refused.count();
        let (beyond, refusals): (Vec<_>, Vec<_>) = compare::refusals(&created)
            .into_iter()
            .partition(|refusal| vectors::is_beyond_limits(refusal));
        report.beyond_limits += beyond.len();
        findings.other.extend(refusals);
        if let Some(problem) = compare::problem(created.flag.clone()) {
            if !vectors::is_beyond_limits(&problem) {
                report.unloadable += 1;
            }
            server.delete(created.id).await?;
        } else {
            left.push(created.id);
            flags.push((created, generated));
        }
    }
    let Some(set) = server.export().await? else {
        return blame(server, left, &flags, findings).await;
    };
    let snapshot = snapshot(set, left, findings);
    for group in flags.chunks(TOGETHER) {
        let visitors: Vec<_> = group
            .iter()
            .flat_map(|(_, generated)| std::iter::repeat_n(&generated.hints, CONTEXTS))
            .map(|hints| contexts::visitor(hints, random))
            .collect();
        batch(server, &snapshot, group, &visitors, findings, report).await?;
        for visitor in visitors.iter().step_by(CONTEXTS) {
            let (flag, _) = &group[random.index(group.len())];
            single(server, &snapshot, flag, visitor, random, findings, report).await?;
        }
    }
    Ok(())
}

/// The flags of the round out of an export, compiled.
fn snapshot(mut set: FlagSet, ids: &[u64], findings: &mut Findings) -> Snapshot {
    set.flags.retain(|flag| ids.contains(&flag.id));
    let snapshot = Snapshot::new(set);
    if snapshot.len() != ids.len() {
        findings.other.push(format!(
            "of {} flags the export has {}",
            ids.len(),
            snapshot.len()
        ));
    }
    for problem in snapshot.problems() {
        findings.other.push(format!(
            "a flag that Flagr evaluates has a problem: {problem:?}"
        ));
    }
    snapshot
}

async fn batch(
    server: &Server,
    snapshot: &Snapshot,
    group: &[(Created, Generated)],
    visitors: &[Visitor],
    findings: &mut Findings,
    report: &mut Report,
) -> Result<(), Failure> {
    let ids: Vec<_> = group.iter().map(|(flag, _)| flag.id).collect();
    let answers = server.batch(&ids, visitors).await?;
    if answers.len() != ids.len() * visitors.len() {
        return Err(format!("{} answers to a batch", answers.len()).into());
    }
    let asked = visitors
        .iter()
        .flat_map(|visitor| group.iter().map(move |(flag, _)| (visitor, flag)));
    for ((visitor, flag), flagr) in asked.zip(answers) {
        report.evaluations += 1;
        report.assigned += usize::from(flagr.variant_id != 0);
        let Some(ours) = compare::answer(snapshot, Some(flag.id), None, visitor) else {
            report.beyond_limits += 1;
            continue;
        };
        // One context for each flag is enough.
        let is_new = |known: &Mismatch| known.flag.key != flag.flag.key;
        if ours != flagr && findings.mismatches.iter().all(is_new) {
            findings.mismatches.push(Mismatch {
                flag: flag.flag.clone(),
                visitor: visitor.clone(),
                flagr,
                ours,
            });
        }
    }
    Ok(())
}

/// One evaluation by whatever names a flag, or no flag.
async fn single(
    server: &Server,
    snapshot: &Snapshot,
    flag: &Created,
    visitor: &Visitor,
    random: &mut Random,
    findings: &mut Findings,
    report: &mut Report,
) -> Result<(), Failure> {
    let decimal = flag.id.to_string();
    let key = flag.flag.key.as_str();
    const NOBODY: u64 = 4_000_000_000;
    let (id, key) = random.pick(&[
        (Some(flag.id), None),
        (None, Some(key)),
        (Some(flag.id), Some("another")),
        (Some(NOBODY), Some(key)),
        (None, Some(decimal.as_str())),
        (Some(NOBODY), Some(decimal.as_str())),
        (Some(NOBODY), None),
        (None, Some("nobody")),
        (Some(NOBODY), Some("nobody")),
        (None, None),
    ]);
    let flagr = server.evaluate(id, key, visitor).await?;
    report.evaluations += 1;
    report.assigned += usize::from(flagr.variant_id != 0);
    let Some(ours) = compare::answer(snapshot, id, key, visitor) else {
        report.beyond_limits += 1;
        return Ok(());
    };
    if ours != flagr {
        findings.mismatches.push(Mismatch {
            flag: flag.flag.clone(),
            visitor: visitor.clone(),
            flagr,
            ours,
        });
    }
    Ok(())
}

/// Finds the flag that keeps the server from loading, by deleting one after
/// the other.
async fn blame(
    server: &Server,
    left: &mut Vec<u64>,
    flags: &[(Created, Generated)],
    findings: &mut Findings,
) -> Result<(), Failure> {
    for (suspect, _) in flags.iter().rev() {
        server.delete(suspect.id).await?;
        left.retain(|id| *id != suspect.id);
        // The newest change must not be a deletion.
        let marker = Flag::new(format!("{}-marker", suspect.flag.key));
        left.push(server.create(&marker).await?.id);
        if server.export().await?.is_some() {
            findings.other.push(format!(
                "Flagr cannot load, we can: {}",
                compare::brief(&suspect.flag)
            ));
            return Ok(());
        }
    }
    Err("the export does not catch up with the changes".into())
}
