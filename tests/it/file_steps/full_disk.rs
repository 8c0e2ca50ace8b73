//! A disk without room: the run says so and ends, nothing is lost, and with room again the next run goes on.

use std::path::Path;
use std::process::Command;

use super::{Scenario, everything, run_all};
use crate::support::{Ended, Fault, Settings, Watched, Workspace, say};
use sandbar_harness::ScriptedApi;

const NO_ROOM: &str = "No space left on device";

#[test]
fn a_disk_that_is_full_from_any_step_on_ends_the_run_and_the_next_one_goes_on() {
    let scenarios = Scenario::all();
    let mut cases: Vec<_> = scenarios
        .iter()
        .flat_map(|scenario| (1..=scenario.steps().steps.len()).map(move |at| (scenario, at)))
        .collect();
    if !everything() {
        cases = cases.into_iter().step_by(3).collect();
    }
    let name = |(scenario, at): &(&Scenario, usize)| format!("{}: full from step {at} on", scenario.name);
    run_all(&cases, name, |(scenario, at)| {
        let work = scenario.begin();
        let watched = Watched::new(&work, "full");
        let ended = watched.spawn(Some((Fault::FullFrom, *at))).end();
        match ended.code {
            // Only what is advice or comfort was still to be written.
            Some(0) => scenario.assert_complete(&work),
            _ => drop(ended.with_code(1).saying(&[NO_ROOM, "lake"])),
        }
        scenario.finish(&work);
    });
    say(&format!("{} runs on a disk that fills up", cases.len()));
}

/// A file system of its own, small, with a folder of the workspace on it. It is mounted for the processes of one
/// script only, and gone with them.
struct SmallDisk<'a> {
    work: &'a Workspace,
    folder: &'a str,
    /// What `unshare` needs here to be allowed to mount.
    unshare: &'static [&'static str],
}

impl<'a> SmallDisk<'a> {
    /// `None` where no file system may be mounted.
    fn new(work: &'a Workspace, folder: &'a str) -> Option<Self> {
        let mounts = |unshare: &&&'static [&'static str]| {
            let mut command = Command::new("unshare");
            command
                .args(**unshare)
                .args(["mount", "-t", "tmpfs", "tmpfs", "/tmp"]);
            command.output().is_ok_and(|output| output.status.success())
        };
        let ways: [&'static [&'static str]; 2] = [&["-m"], &["-rm"]];
        let Some(unshare) = ways.iter().find(mounts) else {
            say("no file system may be mounted here: a full disk is tried with errors of the calls only");
            return None;
        };
        std::fs::create_dir_all(work.path(folder)).unwrap();
        Some(Self {
            work,
            folder,
            unshare,
        })
    }

    /// Fills the disk, runs the program, makes room, runs it again, and leaves the disk's files in the folder.
    fn full_and_then_not(&self) -> [Ended; 2] {
        // Whole pages are taken, so that not a single byte fits.
        let script = r#"
            mkdir outcome
            mount -t tmpfs -o size=256k tmpfs "$1" || exit 9
            cp -a before/. "$1" || exit 9
            dd if=/dev/zero of="$1/filler" bs=4096 2>/dev/null
            "$2" run comments.toml --available-now --progress json >outcome/1.out 2>outcome/1.err
            echo $? >outcome/1.code
            rm "$1/filler"
            "$2" run comments.toml --available-now --progress json >outcome/2.out 2>outcome/2.err
            echo $? >outcome/2.code
            cp -a "$1" outcome/files
        "#;
        let folder = self.work.path(self.folder);
        let before = self.work.path("before");
        std::fs::rename(&folder, before).unwrap();
        std::fs::create_dir(&folder).unwrap();
        let mut program = self.work.command(&[]);
        let path = program.get_program().to_owned();
        program = with_program(program, "unshare");
        program
            .args(self.unshare)
            .args(["sh", "-c", script, "sh"])
            .arg(&folder)
            .arg(path);
        let output = program.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::remove_dir(&folder).unwrap();
        std::fs::rename(self.work.path("outcome/files"), &folder).unwrap();
        [1, 2].map(|run| {
            let read = |what: &str| self.work.read(&format!("outcome/{run}.{what}"));
            Ended {
                code: Some(read("code").trim().parse().unwrap()),
                stdout: read("out"),
                stderr: read("err"),
            }
        })
    }
}

/// The same folder and environment, for another program.
fn with_program(of: Command, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(of.get_current_dir().unwrap_or(Path::new(".")));
    for (name, value) in of.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[test]
fn a_checkpoint_location_on_a_full_disk_stops_what_needs_it_before_its_commit() {
    for (progress, rows_before) in [("'checkpoint'", 0), ("'checkpoint'", 20), ("'table'", 20)] {
        let api = ScriptedApi::start(rows_before);
        let work = Workspace::with(&Settings::of(&api).set("sink.progress", progress));
        let Some(disk) = SmallDisk::new(&work, "lake/_checkpoints/comments") else {
            return;
        };
        work.read_available();
        api.add_rows(20);
        let [full, roomy] = disk.full_and_then_not();
        if progress == "'table'" {
            // The offsets are in the table: what is lost is a note.
            assert_eq!(
                full.ok().saying(&["could not note its progress"]).batches(),
                [10, 10]
            );
            assert_eq!(roomy.ok().batches(), [0; 0]);
        } else {
            let entry = format!("offsets/{}", rows_before / 10 + 1);
            full.with_code(1).saying(&[&entry, "lake/_checkpoints", NO_ROOM]);
            assert_eq!(roomy.ok().batches(), [10, 10]);
        }
        work.table()
            .assert_once(1..=i32::try_from(rows_before + 20).unwrap());
    }
}

#[test]
fn a_table_on_a_full_disk_stays_as_it_is_until_there_is_room() {
    for progress in ["'table'", "'checkpoint'"] {
        for rows_before in [0, 20] {
            let api = ScriptedApi::start(rows_before);
            let work = Workspace::with(&Settings::of(&api).set("sink.progress", progress));
            let Some(disk) = SmallDisk::new(&work, "lake/comments") else {
                return;
            };
            if rows_before > 0 {
                work.read_available();
            }
            api.add_rows(20);
            let [full, roomy] = disk.full_and_then_not();
            full.with_code(1).saying(&["lake/comments/", ".parquet", NO_ROOM]);
            assert_eq!(roomy.ok().batches(), [10, 10]);
            work.table()
                .assert_once(1..=i32::try_from(rows_before + 20).unwrap());
        }
    }
}
