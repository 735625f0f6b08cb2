//! A receiver that fails, gateways on one store, and what each message says.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::bedrock::Operation;
use crate::budget::{Actual, Attachments, Estimate, Item, Outcome, RequestFacts};
use crate::config::{Settings, Surroundings, assembly};
use crate::sigv4::AwsCredentials;
use crate::types::{ManualClock, Secret};

/// Takes messages, and answers each with the next status; with 204 when there is none left.
#[derive(Default)]
struct Receiver {
    taken: Mutex<Vec<(HeaderMap, Bytes)>>,
    statuses: Mutex<VecDeque<u16>>,
}

impl Receiver {
    async fn start() -> (Arc<Self>, String) {
        let receiver = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?team=1", listener.local_addr().unwrap());
        let own = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let own = Arc::clone(&own);
                let service = service_fn(move |request| Arc::clone(&own).take(request));
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
            }
        });
        (receiver, url)
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>) -> http::Result<Response<Full<Bytes>>> {
        assert_eq!(request.uri().path_and_query().unwrap(), "/hook?team=1");
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.taken.lock().unwrap().push((head.headers, body));
        let status = self.statuses.lock().unwrap().pop_front().unwrap_or(204);
        Response::builder().status(status).body(Full::default())
    }

    fn taken(&self) -> Vec<(HeaderMap, Bytes)> {
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

struct Place {
    folder: TempDir,
    clock: Arc<ManualClock>,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("secret"), format!("whsec_{}\n", STANDARD.encode("a shared secret")))
            .unwrap();
        Self { folder, clock: Arc::new(ManualClock::at_unix_seconds(1_795_262_400)) }
    }

    async fn gateway(&self, url: &str) -> Watch {
        let text = format!(
            "[alerts]\nwebhook = \"{url}\"\nsecret_file = \"secret\"\n[[principals]]\nname = \"alice\"\n[[profiles]]\n\
             name = \"nova\"\narn = \"arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/nova\"\n\
             source = \"us.amazon.nova-lite-v1:0\"\nprincipals = [\"alice\"]\n[[budgets]]\nname = \"two\"\n\
             everyone = true\nwindow = \"day\"\nrequests = 2\n"
        );
        let around = Surroundings { folder: self.folder.path(), price_known: &|_, _| true };
        let (settings, _) = Settings::parse(&text, Path::new("tollgate.toml"), &around).unwrap();
        let aws = AwsCredentials {
            access_key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Secret::new("secret"),
            session_token: None,
        };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let aws = assembly::AwsIdentity::Fixed(aws);
        assembly::assemble(&settings, aws, clock).await.unwrap().thresholds
    }
}

fn people(watch: &Watch) -> Vec<Arc<crate::identity::Principal>> {
    assembly::people(&watch.gateway)
}

async fn call(watch: &Watch) {
    let item = Item { request_id: "r-1".into(), operation: Operation::Converse, model: None, profile: None };
    let facts = RequestFacts { max_tokens: Some(1), attachments: Attachments::None, ..RequestFacts::default() };
    let estimate = Estimate::model(facts, "us.amazon.nova-lite-v1:0".parse().unwrap(), None);
    let reservation = watch.gateway.ledger.reserve(&people(watch)[0], item, &estimate).await.unwrap();
    reservation.settle(Actual::nothing(Outcome::Complete));
    // Once the bill can be read, the store has it.
    watch.gateway.ledger.bill().await.unwrap();
}

/// One look of a gateway.
async fn look(watch: &Watch, told: &mut Told, deliveries: &mut Deliveries) {
    for crossing in watch.gateway.ledger.crossings(people(watch).iter().map(AsRef::as_ref), told, true).await.unwrap() {
        deliveries.own.insert(crossing.mark);
    }
    watch.deliver(watch.webhook.as_ref().unwrap(), deliveries).await;
}

fn percents(taken: &[(HeaderMap, Bytes)]) -> Vec<u64> {
    let percent = |(_, body): &(HeaderMap, Bytes)| {
        serde_json::from_slice::<Value>(body).unwrap()["data"]["percent"].as_u64().unwrap()
    };
    taken.iter().map(percent).collect()
}

#[tokio::test]
async fn each_threshold_is_sent_signed_until_it_is_taken_and_then_no_more() {
    let (place, (receiver, url)) = (Place::new(), Receiver::start().await);
    let watch = place.gateway(&url).await;
    let (mut told, mut deliveries) = (Told::default(), Deliveries::default());
    look(&watch, &mut told, &mut deliveries).await;
    assert!(receiver.taken().is_empty());
    call(&watch).await;
    receiver.statuses.lock().unwrap().extend([500, 302]);
    look(&watch, &mut told, &mut deliveries).await;
    let first = receiver.taken();
    assert_eq!(percents(&first), [50]);
    look(&watch, &mut told, &mut deliveries).await;
    assert!(receiver.taken().is_empty(), "it rests after a failure");
    place.clock.advance(Duration::from_secs(10));
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(percents(&receiver.taken()), [50]);
    place.clock.advance(Duration::from_secs(20));
    look(&watch, &mut told, &mut deliveries).await;
    let last = receiver.taken();
    assert_eq!(percents(&last), [50]);
    for _ in 0..3 {
        place.clock.advance(Duration::from_mins(5));
        look(&watch, &mut told, &mut deliveries).await;
    }
    assert!(receiver.taken().is_empty(), "it has been taken");
    call(&watch).await;
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(percents(&receiver.taken()), [80, 95]);

    let ((headers, body), (later, _)) = (&first[0], &last[0]);
    assert_eq!(headers["webhook-id"], later["webhook-id"]);
    let signed =
        format!("{}.{}.", headers["webhook-id"].to_str().unwrap(), headers["webhook-timestamp"].to_str().unwrap());
    let mut mac = Hmac::<Sha256>::new_from_slice(b"a shared secret").unwrap();
    mac.update(signed.as_bytes());
    mac.update(body);
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(headers["webhook-signature"], signature.as_str());
    let message: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(message["type"], "budget.threshold_reached");
    let data = &message["data"];
    assert_eq!(
        (&data["budget"], &data["subject"], &data["unit"]),
        (&"two".into(), &"alice".into(), &"requests".into())
    );
    assert_eq!((&data["spent"], &data["limit"]), (&1.into(), &2.into()));
    assert_eq!(data["window_start"], "2026-11-21T00:00:00Z");
}

#[tokio::test]
async fn what_a_gateway_that_is_gone_had_still_to_tell_another_tells() {
    let (place, (receiver, url)) = (Place::new(), Receiver::start().await);
    let gone = place.gateway(&url).await;
    let (mut told, mut deliveries) = (Told::default(), Deliveries::default());
    call(&gone).await;
    receiver.statuses.lock().unwrap().push_back(503);
    look(&gone, &mut told, &mut deliveries).await;
    let first = receiver.taken();
    drop(gone);
    let other = place.gateway(&url).await;
    let (mut told, mut deliveries) = (Told::default(), Deliveries::default());
    look(&other, &mut told, &mut deliveries).await;
    assert!(receiver.taken().is_empty(), "the first may still be about to");
    place.clock.advance(Duration::from_mins(1));
    look(&other, &mut told, &mut deliveries).await;
    let second = receiver.taken();
    assert_eq!((percents(&first), percents(&second)), (vec![50], vec![50]));
    assert_eq!(first[0].0["webhook-id"], second[0].0["webhook-id"]);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_given_up_after_a_day() {
    let place = Place::new();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", nobody.local_addr().unwrap());
    drop(nobody);
    let watch = place.gateway(&url).await;
    let (mut told, mut deliveries) = (Told::default(), Deliveries::default());
    call(&watch).await;
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(watch.gateway.ledger.pending(people(&watch).iter().map(AsRef::as_ref)).await.unwrap().len(), 1);
    place.clock.advance(Duration::from_hours(23));
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(watch.gateway.ledger.pending(people(&watch).iter().map(AsRef::as_ref)).await.unwrap().len(), 1);
    place.clock.advance(Duration::from_hours(1));
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(watch.gateway.ledger.pending(people(&watch).iter().map(AsRef::as_ref)).await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_message_that_is_refused_does_not_hold_up_the_others() {
    let (place, (receiver, url)) = (Place::new(), Receiver::start().await);
    let watch = place.gateway(&url).await;
    let (mut told, mut deliveries) = (Told::default(), Deliveries::default());
    call(&watch).await;
    call(&watch).await;
    receiver.statuses.lock().unwrap().push_back(400);
    look(&watch, &mut told, &mut deliveries).await;
    assert_eq!(receiver.taken().len(), 3, "50, 80 and 95 per cent");
    assert_eq!(watch.gateway.ledger.pending(people(&watch).iter().map(AsRef::as_ref)).await.unwrap().len(), 1);
}
