use std::fs;
use std::path::Path;

use fabrik_core::{Coverage, Source, Verdict};
use proptest::prelude::*;

use crate::format::InputFormat;
use crate::recorded::RecordedSource;
use crate::testing::{ReadBack, Tree, drain, gzip, read, tar, trees, zip};

type Files = Vec<(String, Vec<u8>)>;

/// Writes files into a folder.
fn folder(files: &Files) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// Reads files as a folder, as a zip archive and as a tar archive, compressed and not.
fn each_way(files: &Files) -> Vec<(&'static str, fabrik_core::Result<ReadBack>, Vec<super::InputMember>)> {
    let read_path = |path: &Path| match RecordedSource::open(path, None) {
        Ok(mut source) => (drain(&mut source), source.members().to_vec()),
        Err(error) => (Err(error), Vec::new()),
    };
    let unpacked = folder(files);
    let packed = tempfile::tempdir().unwrap();
    let mut ways = Vec::new();
    let (result, members) = read_path(unpacked.path());
    ways.push(("folder", result, members));
    for (name, bytes) in [("a.zip", zip(files)), ("a.tar", tar(files)), ("a.tgz", gzip(&tar(files)))] {
        let path = packed.path().join(name);
        fs::write(&path, bytes).unwrap();
        let (result, members) = read_path(&path);
        ways.push((name, result, members));
    }
    ways
}

fn files(files: &[(&str, &str)]) -> Files {
    files.iter().map(|(name, content)| ((*name).to_owned(), content.as_bytes().to_vec())).collect()
}

const TENANTS: &str = r#"{"totalCount":"1","imdata":[{"fvTenant":{"attributes":{"dn":"uni/tn-a","modTs":"never"}}}]}"#;
const DOMAINS: &str = r#"{"totalCount":"2","imdata":[{"fvBD":{"attributes":{"dn":"uni/tn-a/BD-a"}}},{"fvBD":{"attributes":{"dn":"uni/tn-a/BD-b"}}}]}"#;

#[test]
fn class_files_are_one_source() {
    let files = files(&[("aci/fvBD.json", DOMAINS), ("aci/fvTenant.json", TENANTS), ("aci/vzBrCP.json", "[]")]);

    for (way, result, members) in each_way(&files) {
        let read = result.unwrap();
        let counts: Vec<(&str, u64)> = members.iter().map(|member| (member.name.as_str(), member.rows)).collect();

        assert_eq!(read.rows.len(), 3, "{way}");
        assert_eq!((read.verdict, read.coverage), (Verdict::Complete, Coverage::Full), "{way}");
        assert_eq!(counts, [("aci/fvBD.json", 2), ("aci/fvTenant.json", 1), ("aci/vzBrCP.json", 0)], "{way}");
    }
}

#[test]
fn what_is_plainly_no_data_is_passed_over_and_named() {
    let files = files(&[
        ("README", "read, me"),
        ("collect.log", "[a, b"),
        ("fvBD.json", DOMAINS),
        ("notes.txt", "a, b\n1, 2\n"),
        ("picture", "\x01\0\x02"),
        ("zero", ""),
    ]);

    for (way, result, members) in each_way(&files) {
        let read = result.unwrap();
        let skipped: Vec<&str> =
            members.iter().filter(|member| member.skipped.is_some()).map(|member| member.name.as_str()).collect();

        assert_eq!((read.rows.len(), read.verdict), (2, Verdict::Complete), "{way}");
        assert_eq!(skipped, ["README", "collect.log", "notes.txt", "picture", "zero"], "{way}");
    }
}

#[test]
fn broken_class_file_is_an_error_that_names_it() {
    for (name, content, part) in [
        ("fvCtx.json", "", "empty input"),
        ("fvCtx.json", "hello, world\n", "it is text"),
        ("fvCtx.txt", "apic1# moquery -c fvCtx\nTotal Objects shown: 1\n\n# fv.Ctx\ndn : uni\n", "it is text"),
        ("fvCtx.json", "{\"totalCount\":\"1\",\"imdata\":[", "the input ends"),
        ("fvCtx.json", "<html>503</html>", "HTML page"),
        ("fvCtx", "{\"totalCount\":\"1\",\"imdata\":[{]}", "row 1"),
        ("fvCtx.xml", "<imdata><a></imdata>", "well-formed"),
        ("fvCtx.json", r#"{"totalCount":"9","imdata":[]}"#, "announced 9 objects and sent none"),
        ("fvCtx.json", r#"{"imdata":[{"error":{"attributes":{"code":"403","text":"no"}}}]}"#, "error 403: no"),
    ] {
        let files = files(&[("fvBD.json", DOMAINS), (name, content)]);
        for (way, result, _) in each_way(&files) {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(&format!(": {name} cannot be captured")) && error.contains(part), "{way}: {error}");
        }
    }
}

#[test]
fn nothing_to_read_is_an_error() {
    for (files, part) in [
        (files(&[]), "it has no files"),
        (files(&[("README.md", "x"), ("a.log", "y")]), "none of its 2 files has rows; the first is \"README.md\""),
    ] {
        for (way, result, _) in each_way(&files) {
            // An archive without members has nothing that tells what it is.
            if way.starts_with("a.t") && files.is_empty() {
                continue;
            }
            let error = result.unwrap_err().to_string();
            assert!(error.contains(part), "{way}: {error}");
        }
    }
}

#[test]
fn files_of_any_form_go_together() {
    let gzipped = gzip(DOMAINS.as_bytes());
    let mut files = files(&[
        ("a.csv", "dn,x\nuni/x,1\n"),
        ("b.ndjson", "{\"dn\":\"uni/y\"}\n"),
        ("c.xml", "<imdata totalCount=\"1\"><fvAp dn=\"uni/z\"/></imdata>"),
        ("d.txt", "Total Objects shown: 1\n\n# fv.Ctx\ndn : uni/w\n"),
    ]);
    files.push(("e.json.gz".to_owned(), gzipped));

    for (way, result, _) in each_way(&files) {
        assert_eq!(result.unwrap().rows.len(), 6, "{way}");
    }
}

#[test]
fn missing_objects_are_told_by_member() {
    let short = DOMAINS.replace("\"2\"", "\"5\"");
    let all = files(&[("fvBD.json", &short), ("fvTenant.json", TENANTS)]);

    for (way, result, _) in each_way(&all) {
        let Verdict::Partial { reason, missing, .. } = result.unwrap().verdict else { panic!("{way} is not complete") };
        assert_eq!(reason, "fvBD.json: the controller announced 5 objects, the input has 2", "{way}");
        assert!(missing.is_empty());
    }
}

#[test]
fn pages_of_one_answer_are_complete_together() {
    let page = |names: &[&str]| {
        let objects: Vec<Tree> =
            names.iter().map(|name| Tree::new("fvBD", &[("dn", &format!("uni/tn-a/BD-{name}"))], vec![])).collect();
        Tree::answer_json(&objects, false).replacen(&format!("\"{}\"", names.len()), "\"3\"", 1)
    };
    let (first, second, last) = (page(&["a", "b"]), page(&["c"]), page(&[]));

    let complete = files(&[("0.json", &first), ("1.json", &second), ("2.json", &last)]);
    let partial = files(&[("0.json", &first), ("t.json", TENANTS)]);

    assert!(each_way(&complete).into_iter().all(|(_, result, _)| result.unwrap().verdict == Verdict::Complete));
    assert!(each_way(&partial).into_iter().all(|(_, result, _)| result.unwrap().verdict != Verdict::Complete));
}

#[test]
fn archive_within_an_archive_is_an_error() {
    let inner = files(&[("fvBD.json", DOMAINS)]);
    for (name, content) in [("inner.tar", tar(&inner)), ("inner.tgz", gzip(&tar(&inner))), ("inner.zip", zip(&inner))] {
        let outer = vec![("fvTenant.json".to_owned(), TENANTS.as_bytes().to_vec()), (name.to_owned(), content)];
        for (way, result, _) in each_way(&outer) {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("archive"), "{way}: {error}");
        }
    }
}

#[test]
fn names_of_members_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let name = format!("{}/x.json", outside.path().display());
    let mut builder = ::tar::Builder::new(Vec::new());
    for name in [name.as_str(), "../../x.json"] {
        let mut header = ::tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(DOMAINS.len() as u64);
        header.set_cksum();
        builder.append(&header, DOMAINS.as_bytes()).unwrap();
    }
    let archive = builder.into_inner().unwrap();

    assert_eq!(read(archive, None).unwrap().rows.len(), 4);
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn long_names_and_links_of_tar_archives_are_understood() {
    let long = format!("{}/fvBD.json", "folder".repeat(40));
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_size(DOMAINS.len() as u64);
    builder.append_data(&mut header, &long, DOMAINS.as_bytes()).unwrap();
    builder.append_pax_extensions([("path", b"from-pax.json".as_slice())]).unwrap();
    let mut header = ::tar::Header::new_ustar();
    header.set_size(TENANTS.len() as u64);
    builder.append_data(&mut header, "short.json", TENANTS.as_bytes()).unwrap();
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "link.json", "/etc/passwd").unwrap();
    let archive = builder.into_inner().unwrap();
    let mut source = RecordedSource::from_reader("here", Box::new(std::io::Cursor::new(archive)), None).unwrap();

    let read = drain(&mut source).unwrap();

    assert_eq!(read.rows.len(), 3);
    let names: Vec<&str> = source.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, [long.as_str(), "from-pax.json", "link.json"]);
    assert_eq!(source.members()[2].skipped, Some("a link or device"));
}

#[test]
fn damage_in_an_archive_is_found() {
    let all = files(&[("fvBD.json", DOMAINS), ("fvTenant.json", TENANTS)]);
    let packed = tempfile::tempdir().unwrap();
    let path = packed.path().join("a.zip");
    let bytes = zip(&all);
    // The second member is stored as it is, so a letter of it can be changed.
    let at = bytes.windows(8).position(|text| text == b"uni/tn-a").unwrap();
    let mut changed = bytes.clone();
    changed[at + 7] = b'b';
    fs::write(&path, changed).unwrap();
    let error = drain(&mut RecordedSource::open(&path, None).unwrap()).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("checksum"), "{error:?}");

    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    assert!(RecordedSource::open(&path, None).unwrap_err().to_string().contains("zip archive cannot be read"));

    let mut archive = tar(&all);
    archive[2] = b'x';
    assert!(read(archive, None).unwrap_err().to_string().contains("damaged"));
    assert!(read(zip(&all), None).unwrap_err().to_string().contains("a zip archive"));
}

#[test]
fn tar_archive_that_ends_between_members_is_cut_off() {
    let all = files(&[("fvBD.json", DOMAINS), ("fvTenant.json", TENANTS)]);
    let archive = tar(&all);
    let first_member = 512 + DOMAINS.len().next_multiple_of(512);

    for length in [first_member, first_member + 512, first_member + 700, archive.len() - 1024] {
        assert!(read(&archive[..length], None).is_err(), "{length}");
    }
}

#[test]
fn format_that_was_named_is_held_to_in_all_members() {
    let all = files(&[("a.json", r#"[{"dn":"uni"}]"#)]);

    assert_eq!(read(tar(&all), Some(InputFormat::Archive)).unwrap().rows.len(), 1);
    assert_eq!(read(tar(&all), Some(InputFormat::Json)).unwrap().rows.len(), 1);
    assert!(read(tar(&all), Some(InputFormat::Apic)).is_err());
    assert!(read("[]", Some(InputFormat::Archive)).is_err());
}

#[test]
fn progress_counts_the_bytes_of_all_files() {
    let unpacked = folder(&files(&[("a.json", DOMAINS), ("b/c.json", TENANTS)]));
    let mut source = RecordedSource::open(unpacked.path(), None).unwrap();

    drain(&mut source).unwrap();

    let length = (DOMAINS.len() + TENANTS.len()) as u64;
    assert_eq!((source.progress().read_bytes, source.progress().total_bytes), (length, Some(length)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn archive_has_the_rows_of_its_files(answers in prop::collection::vec((trees(), any::<bool>()), 1..5)) {
        let files: Files = answers
            .iter()
            .enumerate()
            .map(|(i, (trees, is_xml))| match is_xml {
                true => (format!("{i}.xml"), Tree::answer_xml(trees).into_bytes()),
                false => (format!("{i}.json"), Tree::answer_json(trees, false).into_bytes()),
            })
            .collect();
        let one_by_one: Vec<String> =
            files.iter().flat_map(|(_, content)| read(content.clone(), None).unwrap().rows).collect();

        for (way, result, _) in each_way(&files) {
            prop_assert_eq!(&result.unwrap().rows, &one_by_one, "{}", way);
        }
    }

    #[test]
    fn changed_archive_is_read_or_refused(
        trees in trees(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let files = vec![
            ("a.json".to_owned(), Tree::answer_json(&trees, false).into_bytes()),
            ("b.xml".to_owned(), Tree::answer_xml(&trees).into_bytes()),
        ];
        let packed = tempfile::tempdir().unwrap();
        let path = packed.path().join("a");
        for mut bytes in [tar(&files), gzip(&tar(&files)), zip(&files)] {
            fs::write(&path, &bytes[..cut.index(bytes.len())]).unwrap();
            let cut_off = RecordedSource::open(&path, None).and_then(|mut source| drain(&mut source));
            // Behind the end mark of a tar archive is only filling.
            let may_be_whole = cut.index(bytes.len()) >= bytes.len().saturating_sub(512);
            prop_assert!(cut_off.is_err() || may_be_whole, "{:?}", cut_off);
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            fs::write(&path, &bytes).unwrap();
            let _ = RecordedSource::open(&path, None).and_then(|mut source| drain(&mut source));
        }
    }
}
