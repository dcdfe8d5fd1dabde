//! Starts while the server is down, with and without a last-known-good copy.

use std::time::Instant;

use tokio::runtime::Handle;
use vexilla_core::flag::Flag;
use vexilla_core::source::SourceErrorKind;
use vexilla_core::{Context, Level};
use vexilla_tests::fake_flagr::{Answer, FakeFlagr, GUARD, Route, key, until};

use crate::{Folder, at, until_tasks};

#[tokio::test]
async fn a_start_without_the_server_serves_the_last_known_good_flags() {
    const FLAGS: u64 = 1_000;
    let (server, folder) = (FakeFlagr::healthy(FLAGS).unwrap(), Folder::new("start"));
    server.edit(|database| database.set(7, 77));
    let vexilla = at(&server)
        .last_known_good(folder.copy())
        .build()
        .await
        .unwrap();
    assert!(vexilla.shutdown(GUARD).await.saved);
    drop(vexilla);

    for (name, down) in [
        ("refused", FakeFlagr::refuse as fn(&FakeFlagr)),
        ("silent", |server| {
            server.spoil(Route::MaxId, |_| Answer::silence());
        }),
    ] {
        down(&server);
        let builder = at(&server).last_known_good(folder.copy());
        let before = Instant::now();
        let vexilla = builder.build().await.unwrap();
        let took = before.elapsed();
        println!("{name}: {FLAGS} flags restored in {took:.1?} (bound 50 ms, in release)");
        let status = vexilla.status();
        assert_eq!(
            (status.level, status.flags as u64),
            (Level::Restored, FLAGS)
        );
        let flags = vexilla.flags(Context::new("visitor"));
        assert!(flags.evaluate(&key(7)).is_stale());
        for id in 1..=FLAGS {
            assert_eq!(flags.int_or(&key(id), -1), if id == 7 { 77 } else { 0 });
        }
        if name == "refused" {
            let status = until(&vexilla, |status| status.consecutive_failures == 2).await;
            assert_eq!(status.level, Level::Restored);
            server.accept_again().unwrap();
            until(&vexilla, |status| status.level == Level::Live).await;
        }
    }
}

#[tokio::test]
async fn restored_flags_give_way_to_newer_ones() {
    let (server, folder) = (FakeFlagr::healthy(3).unwrap(), Folder::new("newer"));
    let vexilla = at(&server)
        .last_known_good(folder.copy())
        .build()
        .await
        .unwrap();
    assert!(vexilla.shutdown(GUARD).await.saved);

    server.edit(|database| database.set(1, 1));
    let vexilla = at(&server)
        .last_known_good(folder.copy())
        .build()
        .await
        .unwrap();
    until(&vexilla, |status| {
        status.level == Level::Live && status.version == 4
    })
    .await;
    assert_eq!(
        vexilla.flags(Context::new("visitor")).int_or(&key(1), -1),
        1
    );
}

#[tokio::test]
async fn a_start_without_server_and_copy_is_an_error_or_serves_what_the_code_gives() {
    let (server, folder) = (FakeFlagr::healthy(3).unwrap(), Folder::new("nothing"));
    server.refuse();
    let tasks = Handle::current().metrics().num_alive_tasks();
    let start = at(&server).last_known_good(folder.copy()).build().await;
    assert_eq!(start.unwrap_err().kind(), SourceErrorKind::Unreachable);
    until_tasks(tasks).await;

    let vexilla = at(&server)
        .last_known_good(folder.copy())
        .embedded([Flag::boolean("ours", true)])
        .emergency_default(&key(2), 22_i64)
        .build()
        .await
        .unwrap();
    assert_eq!(vexilla.status().level, Level::Defaults);
    let flags = vexilla.flags(Context::new("visitor"));
    assert!(flags.bool("ours"));
    assert_eq!(
        (flags.int_or(&key(1), -1), flags.int_or(&key(2), -1)),
        (-1, 22)
    );

    server.accept_again().unwrap();
    vexilla.refresh().await.unwrap();
    assert_eq!(vexilla.status().level, Level::Live);
    let flags = vexilla.flags(Context::new("visitor"));
    assert!(!flags.bool("ours"));
    assert_eq!(
        (flags.int_or(&key(1), -1), flags.int_or(&key(2), -1)),
        (0, 0)
    );
}

#[test]
fn a_program_that_ends_after_its_start_keeps_what_it_fetched() {
    let (server, folder) = (FakeFlagr::healthy(3).unwrap(), Folder::new("short"));
    let value = || {
        // The program ends with its runtime.
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(async {
            let builder = at(&server).last_known_good(folder.copy()).start_wait(GUARD);
            let vexilla = builder.build().await.unwrap();
            vexilla.flags(Context::new("visitor")).int_or(&key(1), -1)
        })
    };
    for set in [11, 12] {
        server.edit(|database| database.set(1, set));
        assert_eq!(value(), set);
    }
    server.refuse();
    assert_eq!(value(), 12, "of the copy");
    let files: Vec<_> = std::fs::read_dir(folder.0.as_path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["flags"], "no temporary file is left");
}
