//! What counts as a failure, whose it is, and what becomes of whoever fails too often.

use super::proofs::{HERE, Place, access_key, login};
use super::*;
use crate::identity::aws_login::{LoginFault, Outage};
use crate::identity::certificates::CertificateFault;
use crate::identity::keys::AccessKey;
use crate::identity::oidc::TokenFault;

fn is_shut_out(told: &Result<Arc<Principal>, IdentityError>) -> bool {
    matches!(told, Err(IdentityError::TooManyFailures { .. }))
}

#[test]
fn what_cannot_have_been_a_guess_is_none() {
    let (id, at) = (Key::generate().unwrap().id(), Timestamp::UNIX_EPOCH);
    let why = || "why".to_owned();
    let unproven = Outage::Unproven { region: why(), why: why() };
    for (error, guess) in [
        (IdentityError::Missing, false),
        (IdentityError::Several, true),
        (IdentityError::TooLong, true),
        (IdentityError::Scheme, true),
        (IdentityError::NotTaken("x"), true),
        (IdentityError::Malformed(KeyFormatError::Prefix), true),
        (IdentityError::Unknown { id }, true),
        (IdentityError::WrongSecret { id }, true),
        (IdentityError::Revoked { id, at }, false),
        (IdentityError::Expired { id, at }, false),
        (IdentityError::NoSuchPrincipal { id, principal: why() }, false),
        (IdentityError::TooManyFailures { retry_after: Duration::ZERO }, false),
        (IdentityError::PassedOn(PassedOn::Proxy), false),
        (IdentityError::Certificate(CertificateFault::Name), false),
        (SignatureFault::Mismatch.into(), true),
        (TokenFault::Signature.into(), true),
        (TokenFault::Audience.into(), true),
        (TokenFault::Expired { at }.into(), false),
        (TokenFault::Unavailable(why()).into(), false),
        (LoginFault::Refused(why()).into(), true),
        (LoginFault::Expired { at }.into(), true),
        (LoginFault::Unavailable(unproven).into(), true),
        (LoginFault::Unavailable(Outage::Sts(why())).into(), false),
        (LoginFault::Unavailable(Outage::Busy).into(), false),
    ] {
        assert_eq!(error.is_a_guess(), guess, "{error:?}");
    }
    let place = Place::new(vec![]);
    for _ in 0..10 {
        assert_eq!(place.ask(&[], HERE).unwrap_err(), IdentityError::Missing);
    }
}

#[test]
fn whoever_fails_with_tokens_is_heard_with_what_is_cheap_and_with_what_is_known() {
    let key = Key::generate().unwrap();
    for (wrong, kind) in [("eyJ.a.b", "JWT"), ("tollgate-aws-v1.a", "AWS login")] {
        let place = Place::new(vec![record(&key)]);
        let good = [[place.token("dora"), place.token("ed")], [login(0), login(1)]];
        for [known, _] in &good {
            assert!(place.bearer(known).is_ok(), "{kind}");
        }
        for time in 0..5 {
            assert_eq!(is_shut_out(&place.bearer(wrong)), time >= 3, "{kind} {time}");
        }
        for [known, new] in &good {
            assert!(is_shut_out(&place.bearer(new)), "{kind}: what has not been verified yet is not looked at");
            assert!(place.bearer(known).is_ok(), "{kind}");
            assert!(place.ask(&[("x-api-key", new)], "192.0.2.2").is_ok(), "{kind}: others are not meant");
        }
        assert!(place.bearer(key.expose()).is_ok(), "{kind}");
        let unknown = Key::generate().unwrap();
        assert_eq!(place.bearer(unknown.expose()).unwrap_err(), IdentityError::Unknown { id: unknown.id() }, "{kind}");
    }
}

#[test]
fn whoever_fails_with_signatures_of_a_key_is_not_heard_with_those_of_that_key() {
    let (key, signing) = access_key();
    let bearer = Key::generate().unwrap();
    let place = Place::new(vec![signing, record(&bearer)]);
    let forged = AccessKey { secret_access_key: crate::types::Secret::new("x"), ..key.clone() };
    for _ in 0..3 {
        assert_eq!(place.signed(&forged).unwrap_err(), SignatureFault::Mismatch.into());
    }
    assert!(place.signed(&key).is_ok(), "three are allowed");
    assert!(is_shut_out(&place.signed(&forged)), "the fourth is one too many");
    assert!(is_shut_out(&place.signed(&key)));
    for token in [bearer.expose(), &place.token("dora"), &login(0)] {
        assert!(place.bearer(token).is_ok());
    }
}

#[test]
fn behind_a_proxy_everybody_fails_for_themselves() {
    let place = Place::new(vec![]);
    let good = place.token("dora");
    let told = |token: &str, from: &str| place.ask(&[("x-api-key", token), ("x-forwarded-for", from)], "10.1.1.1");
    for time in 0..5 {
        assert_eq!(is_shut_out(&told("eyJ.a.b", "192.0.2.7")), time >= 3, "{time}");
    }
    assert!(is_shut_out(&told(&good, "192.0.2.7")));
    assert!(told(&good, "192.0.2.8").is_ok());
}
