//! Making a mismatch small: dropping parts of the flag, by creating the
//! smaller flags on the server, and attributes of the context.

use vexilla_core::flag::Flag;
use vexilla_core::snapshot::Snapshot;

use super::compare::{self, Mismatch};
use super::server::{Failure, Server};

/// How many rounds of dropping there are at most.
const ROUNDS: usize = 40;

/// The smallest mismatch that dropping leads to. A new flag has a new id and
/// with it other buckets, so that a mismatch in bucketing may stay as it is.
pub(crate) async fn shrink(server: &Server, found: Mismatch) -> Result<Mismatch, Failure> {
    let mut smallest = found;
    for _ in 0..ROUNDS {
        let mut candidates = smaller(&smallest.flag);
        // Flagr never gives a key twice, not even that of a deleted flag.
        let newest = server.newest().await?;
        for (number, candidate) in candidates.iter_mut().enumerate() {
            candidate.key = format!("live-{newest}-smaller-{number}");
        }
        match first_mismatch(server, &smallest, &candidates).await? {
            Some(mismatch) => smallest = mismatch,
            None => break,
        }
    }
    Ok(smallest)
}

/// All flags with one part less.
fn smaller(flag: &Flag) -> Vec<Flag> {
    let mut out = Vec::new();
    let mut change = |change: &dyn Fn(&mut Flag)| {
        let mut candidate = flag.clone();
        change(&mut candidate);
        if candidate != *flag {
            out.push(candidate);
        }
    };
    for index in 0..flag.segments.len() {
        change(&|flag| drop(flag.segments.remove(index)));
    }
    change(&|flag| flag.entity_type.clear());
    change(&|flag| {
        for variant in &mut flag.variants {
            variant.attachment = None;
        }
    });
    for (index, segment) in flag.segments.iter().enumerate() {
        change(&|flag| flag.segments[index].rollout_percent = 100);
        for share in 0..segment.distributions.len() {
            change(&|flag| {
                let shares = &mut flag.segments[index].distributions;
                shares.swap(0, share);
                shares.truncate(1);
                shares[0].percent = 100;
            });
        }
        for (number, constraint) in segment.constraints.iter().enumerate() {
            change(&|flag| drop(flag.segments[index].constraints.remove(number)));
            for value in shorter(&constraint.value) {
                change(&|flag| {
                    flag.segments[index].constraints[number]
                        .value
                        .clone_from(&value);
                });
            }
        }
    }
    for (index, variant) in flag.variants.iter().enumerate() {
        let used = flag
            .segments
            .iter()
            .flat_map(|segment| &segment.distributions)
            .any(|share| share.variant_key == variant.key);
        if !used && flag.variants.len() > 1 {
            change(&|flag| drop(flag.variants.remove(index)));
        }
    }
    out
}

/// The text without its first, second, … part, of several sizes.
fn shorter(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    for parts in [2, 4, 8, 16] {
        let size = letters.len().div_ceil(parts).max(1);
        for start in (0..letters.len()).step_by(size) {
            let end = (start + size).min(letters.len());
            let rest: String = letters[..start].iter().chain(&letters[end..]).collect();
            if !rest.is_empty() && !out.contains(&rest) {
                out.push(rest);
            }
        }
    }
    out
}

/// Creates the candidates and returns the first that still mismatches, with a
/// context as small as can be.
async fn first_mismatch(
    server: &Server,
    known: &Mismatch,
    candidates: &[Flag],
) -> Result<Option<Mismatch>, Failure> {
    let mut created = Vec::new();
    for candidate in candidates {
        let flag = server.create(candidate).await?;
        // Others are not the flag that was meant, or would keep the server
        // from loading any.
        if flag.flag == *candidate && compare::problem(flag.flag.clone()).is_none() {
            created.push(flag);
        } else {
            server.delete(flag.id).await?;
        }
    }
    // The newest change must not be a deletion.
    let last = server
        .create(&Flag::new(format!("{}-last", known.flag.key)))
        .await?;
    let mut found = None;
    if let Some(set) = server.export().await? {
        let snapshot = Snapshot::new(set);
        for flag in &created {
            let visitor = known.visitor.clone();
            let flagr = server.evaluate(Some(flag.id), None, &visitor).await?;
            let ours = compare::answer(&snapshot, Some(flag.id), None, &visitor);
            if let Some(ours) = ours.filter(|ours| *ours != flagr) {
                let mismatch = Mismatch {
                    flag: flag.flag.clone(),
                    visitor,
                    flagr,
                    ours,
                };
                found = Some(with_fewer_attributes(server, &snapshot, flag.id, mismatch).await?);
                break;
            }
        }
    }
    for flag in created {
        server.delete(flag.id).await?;
    }
    server.delete(last.id).await?;
    Ok(found)
}

async fn with_fewer_attributes(
    server: &Server,
    snapshot: &Snapshot,
    id: u64,
    mut smallest: Mismatch,
) -> Result<Mismatch, Failure> {
    for name in smallest.visitor.attributes.clone().into_keys() {
        let mut visitor = smallest.visitor.clone();
        visitor.attributes.remove(&name);
        let flagr = server.evaluate(Some(id), None, &visitor).await?;
        let ours = compare::answer(snapshot, Some(id), None, &visitor);
        if let Some(ours) = ours.filter(|ours| *ours != flagr) {
            smallest = Mismatch {
                visitor,
                flagr,
                ours,
                ..smallest
            };
        }
    }
    Ok(smallest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_text_lacks_one_part() {
        assert_eq!(shorter("abcd"), ["cd", "ab", "bcd", "acd", "abd", "abc"]);
        assert!(shorter("é").is_empty());
    }
}
