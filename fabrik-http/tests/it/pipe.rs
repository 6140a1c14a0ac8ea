//! Readers that go away.

use std::io::{BufRead, BufReader};

use crate::folder::{Folder, Run};

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    // More than a pipe holds, so that the command is still writing when its reader goes.
    let rows: String =
        (0..5000).map(|i| format!("{{\"dn\":\"uni/{i}\",\"text\":\"{}\"}}\n", "x".repeat(100))).collect();
    let folder = Folder::with_captures(&[&rows, "[]"]);

    for arguments in [
        &["show", "q@latest~1", "--format", "ndjson"][..],
        &["show", "q@latest~1"],
        &["show", "q@latest~1", "--format", "csv"],
        &["compare", "q@latest~1", "q@latest"],
        &["compare", "q@latest~1", "q@latest", "--format", "ndjson"],
        &["compare", "q@latest~1", "q@latest", "--format", "markdown"],
    ] {
        let mut child = folder.command(arguments).spawn().unwrap();
        let mut reader = BufReader::with_capacity(16, child.stdout.take().unwrap());
        let mut start = [0; 8];
        std::io::Read::read_exact(&mut reader, &mut start).unwrap();
        assert!(reader.fill_buf().is_ok());
        drop(reader);

        let run = Run::of(child);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}
