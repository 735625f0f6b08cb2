//! AWS's own suite of signatures, as the `aws-sigv4` crate carries it.

use std::path::{Path, PathBuf};

use super::*;

/// Where cargo has unpacked the crate whose sources hold AWS's suite.
fn suite() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let told = std::process::Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "aws-sigv4").unwrap();
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().join("aws-signing-test-suite/v4")
}

/// Whether a request of the suite holds. The suite's service is not `bedrock`, so its scope is not looked at.
fn holds(text: &str, secret: &str) -> bool {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let (method, rest) = line.split_once(' ').unwrap();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest).trim_end();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !line.starts_with(' ') => headers.push((name.to_lowercase(), value.to_owned())),
            // A value that goes on in the next line, as HTTP once had it.
            _ => headers.last_mut().unwrap().1.push_str(line),
        }
    }
    let map: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value.trim()).unwrap()))
        .collect();
    let query = Query::read(query);
    let presented = if query.has("X-Amz-Signature") {
        Presented::in_query(&query).unwrap()
    } else {
        Presented::in_header(map["authorization"].to_str().unwrap(), &map).unwrap()
    };
    let values = presented.signed_headers.iter().map(|name| (*name, joined(&map, name).unwrap())).collect::<Vec<_>>();
    let (id, root, gate) = ("AbCdEf012345".parse().unwrap(), root("abcd"), Gate::new());
    let signing = generate_signing_key(secret, presented.at.into(), presented.scope.region, presented.scope.service);
    gate.verifier.signing_keys.keep(id, &root, &presented, SigningKey::of(signing.as_ref()));
    let (key, _) = gate.keys.access_key(id).unwrap();
    let canonical = query.without(&["X-Amz-Signature"]).canonical();
    let claim = Claim { presented, id, key, root, query: canonical };
    let signed = Signed { method, path, payload_sha256: &hex::encode(Sha256::digest(body.as_bytes())) };
    gate.verifier.compare(&claim, &signed, &values).is_ok()
}

#[test]
fn awss_own_suite_of_signatures_holds() {
    let mut seen = 0;
    for folder in std::fs::read_dir(suite()).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let context = std::fs::read_to_string(folder.join("context.json")).unwrap_or_default();
        let context: serde_json::Value = serde_json::from_str(&context).unwrap_or_default();
        let Some(secret) = context["credentials"]["secret_access_key"].as_str() else { continue };
        for form in ["header", "query"] {
            let file = folder.join(format!("{form}-signed-request.txt"));
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            // A token that is added after signing is refused as any other.
            if name == "post-sts-header-after" && form == "query" {
                assert!(!holds(&text, secret));
                continue;
            }
            // Paths that a signer normalises are refused before they come here; then what was signed is not what came.
            let normalised = ["get-relative", "get-slash"].iter().any(|start| name.starts_with(start))
                && name.ends_with("-normalized");
            assert_eq!(holds(&text, secret), !normalised, "{}", file.display());
            let tampered = text.replacen("example.amazonaws.com", "example.amazonaws.con", 1);
            assert!(tampered == text || !holds(&tampered, secret), "{}", file.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}
