//! What a person is told of a file, and what they are spared.

use super::*;

#[test]
fn a_file_that_cannot_be_read_says_so() {
    let found = Settings::load(&repository("tests/fixtures/config/absent.toml"), &price_known).unwrap_err();
    assert!(found.to_string().contains("absent.toml: cannot be read: "), "{found}");

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"[log]\nlevel = \"\xff\"\n").unwrap();
    let found = Settings::load(file.path(), &price_known).unwrap_err();
    assert_eq!(lines(&found.errors), ["2:10: not UTF-8 | TOML is UTF-8 throughout: save the file as UTF-8"]);
}

#[test]
fn a_diagnostic_prints_as_editors_expect_it() {
    let found = parse("[log]\nlevle = \"info\"\n").unwrap_err().to_string();
    assert!(found.contains("t.toml:2:1: log.levle: unknown key\n    did you mean `level`?"), "{found}");
}

#[test]
fn a_root_key_that_others_can_read_is_told_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let source = "[identity]\nroot_key_files = [\"root.key\"]\n[[profiles]]\nname = \"p\"\n\
                  arn = \"arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/p\"\nsource = \"us.maker.m\"\n\
                  everyone = true\n[[principals]]\nname = \"a\"\n";
    let file = folder.path().join("root.key");
    std::fs::write(&file, "").unwrap();
    for (mode, told) in [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let surroundings = Surroundings { folder: folder.path(), price_known: &price_known };
        let (_, found) = Settings::parse(source, Path::new("t.toml"), &surroundings).unwrap();
        let warnings = lines(&found.warnings);
        assert_eq!(warnings.len(), told, "{mode:o}: {warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("\"root.key\" is readable by others")), "{warnings:?}");
    }
}

#[test]
fn columns_count_characters() {
    let found = parse("log = { \"é\" = 1, format = \"xml\" }").unwrap_err();
    let wanted = "1:27: log.format: \"xml\" is not one of json, text";
    assert!(lines(&found.errors).contains(&wanted.to_owned()), "{found}");
}

#[test]
fn a_thousand_people_with_two_profiles_each_are_checked_without_a_false_alarm() {
    use std::fmt::Write as _;
    let mut source = String::new();
    for index in 0..1_000 {
        write!(source, "[[principals]]\nname = \"p{index}\"\ngroups = [\"all\"]\n").unwrap();
        for model in ["sonnet", "haiku"] {
            let arn = format!("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/{model}{index}");
            write!(
                source,
                "[[profiles]]\nname = \"p{index}-{model}\"\narn = \"{arn}\"\nsource = \"us.maker.{model}\"\n"
            )
            .unwrap();
            write!(source, "principals = [\"p{index}\"]\naliases = [\"{model}\"]\n").unwrap();
        }
    }
    let (settings, diagnostics) = parse(&source).unwrap();
    assert_eq!((settings.profiles.len(), diagnostics.warnings.len()), (2_000, 0));
}

#[test]
fn what_was_discovered_is_kept_beside_the_store() {
    let source = "[store]\npath = \"/var/lib/t/tollgate.db\"\n[[accounts]]\naccount = \"111122223333\"\nregions = [\"us-east-1\"]\n\
                  [[discovery.rules]]\nprofile_tag = \"A\"\nprincipal_tag = \"A\"\n[[principals]]\nname = \"a\"\n";
    let file = |source: &str| parse(source).unwrap().0.discovery.unwrap().file;
    assert_eq!(file(source), Path::new("/var/lib/t/profiles.json"));
    let named = source.replace("[[discovery.rules]]", "[discovery]\nfile = \"/x/p.json\"\n[[discovery.rules]]");
    assert_eq!(file(&named), Path::new("/x/p.json"));
}
