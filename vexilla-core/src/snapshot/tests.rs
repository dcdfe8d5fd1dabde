//! What becomes of a flag's problem when its cause is gone, or is not.

use super::*;
use crate::context::Context;
use crate::flag::{Constraint, Segment, Variant};
use crate::source::{Source, SourceError};
use crate::vexilla::Vexilla;

fn on_if(operator: &str, value: &str) -> Flag {
    let mut flag = Flag::new("a")
        .id(1)
        .enabled(true)
        .variant(Variant::new("on").id(1))
        .segment(
            Segment::new()
                .constraint(Constraint::new("p", operator, value))
                .distribution("on", 100),
        );
    flag.snapshot_id = 7;
    flag
}

fn problems(snapshot: &Snapshot) -> usize {
    assert_eq!(snapshot.problem_count(), snapshot.problems().count());
    snapshot.problem_count()
}

fn address(snapshot: &Snapshot) -> *const Flag {
    snapshot
        .flag("a")
        .map_or(std::ptr::null(), std::ptr::from_ref)
}

#[test]
fn a_flag_is_compiled_again_when_its_set_finds_other_faults_in_it() {
    let flag = || on_if("EQ", "1");
    let duplicate = || Flag::new("a").id(2);
    let enabled = Filter::new().only_enabled();
    let build = |flags: Vec<Flag>, previous| {
        Snapshot::build(flags.into(), &enabled, &Limits::new(), previous)
    };
    let twice = build(vec![flag(), duplicate()], None);
    assert_eq!((twice.len(), problems(&twice)), (1, 1));

    let again = build(vec![duplicate(), flag()], Some(&twice));
    assert!(again.same_flags(&twice));
    assert_eq!(
        address(&again),
        address(&twice),
        "an invalid flag is reused"
    );

    let once = build(vec![flag()], Some(&twice));
    assert_eq!(problems(&once), 0);
    assert!(once.same_definitions(&twice) && !once.same_flags(&twice));

    let twice = build(vec![flag(), duplicate()], Some(&once));
    assert_eq!(problems(&twice), 1);
    assert!(!once.same_flags(&twice));
}

#[test]
fn a_permanent_problem_is_not_looked_for_again() {
    let set = || FlagSet::from(vec![on_if("MATCHES", "(")]);
    let first = Snapshot::new(set());
    let second = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&first));
    assert_eq!(problems(&second), 1);
    assert_eq!(address(&first), address(&second));
}

#[cfg(feature = "cel")]
#[test]
fn an_expression_that_got_no_thread_is_compiled_at_the_next_fetch() {
    let source = "p == 1.0 && entity_id != 'no thread at first'";
    let set = || FlagSet::from(vec![on_if("CEL", source)]);
    let no_thread = crate::constraint::NoThreadFor::new(source);
    let first = Snapshot::new(set());
    let second = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&first));
    assert_eq!((problems(&first), problems(&second)), (1, 1));
    assert!(first.same_flags(&second));
    drop(no_thread);
    let third = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&second));
    assert_eq!(problems(&third), 0);
    assert!(third.same_definitions(&second) && !third.same_flags(&second));
    let fourth = Snapshot::build(set(), &Filter::new(), &Limits::new(), Some(&third));
    assert_eq!(address(&fourth), address(&third));
}

/// A server whose flags do not change.
struct Export(Flag);

impl Source for Export {
    fn name(&self) -> String {
        "export".to_owned()
    }

    async fn fetch(&self) -> Result<FlagSet, SourceError> {
        let mut set = FlagSet::from(vec![self.0.clone()]);
        set.origin = Origin::Export;
        Ok(set)
    }

    async fn latest(&self) -> Result<Option<u64>, SourceError> {
        Ok(Some(7))
    }
}

#[cfg(feature = "cel")]
#[tokio::test]
async fn a_running_service_serves_it_once_it_could_be_compiled() {
    let source = "p == 1.0 && entity_id != 'no thread for a while'";
    let no_thread = crate::constraint::NoThreadFor::new(source);
    let vexilla = Vexilla::builder(Export(on_if("CEL", source)))
        .build()
        .await
        .unwrap();
    let is_on = || vexilla.flags(Context::new("u").with("p", 1)).bool("a");
    assert!(!vexilla.refresh().await.unwrap() && !is_on());
    let mut changes = vexilla.changes();
    drop(no_thread);
    assert!(vexilla.refresh().await.unwrap() && is_on());
    let change = changes.next().await.unwrap();
    assert_eq!(change.changed.into_iter().collect::<Vec<_>>(), ["a"]);
    assert!(!vexilla.refresh().await.unwrap() && is_on());
}
