//! Several gateways on one Valkey or Redis: gateways are killed, the store is killed and started again, and gateways are cut
//! off from it, for shorter and for longer than their lease.

#[expect(dead_code, reason = "the tests of the store ask more of a server")]
#[path = "../../../src/budget/shared/tests/server.rs"]
mod server;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tollgate::budget::{SharedOptions, SharedStore, Store};
use tollgate::types::SystemClock;

use super::*;
use server::Server;

const GATEWAYS: usize = 3;
const LEASE: Duration = Duration::from_secs(3);

/// The network between gateways and the store.
struct Network {
    address: SocketAddr,
    cut: watch::Sender<bool>,
}

impl Network {
    async fn new(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, is_cut) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, socket.clone(), is_cut.clone()));
            }
        });
        Self { address, cut }
    }
}

/// Carries bytes both ways until the network is cut; while it is, nothing gets through and nothing is answered.
async fn carry(mut client: TcpStream, socket: PathBuf, mut is_cut: watch::Receiver<bool>) {
    let carried = async {
        if let Ok(mut server) = UnixStream::connect(socket).await {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    };
    let over = is_cut.clone();
    tokio::select! {
        _ = is_cut.wait_for(|cut| *cut) => {}
        () = carried => return,
    }
    // The connection hangs as it does behind a firewall that drops packets.
    let mut over = over;
    let _ = over.wait_for(|cut| !*cut).await;
}

/// What the callers have been answered.
#[derive(Default)]
struct Answers {
    fine: AtomicU64,
    over_budget: AtomicU64,
    unavailable: AtomicU64,
}

struct Fleet {
    place: Place,
    server: Server,
    networks: Vec<Network>,
    gateways: Vec<Gateway>,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Fleet {
    async fn new() -> Self {
        let server = Server::start();
        let mut networks = Vec::new();
        for _ in 0..GATEWAYS {
            networks.push(Network::new(server.socket()).await);
        }
        let place = Place::new("").await;
        let config = std::fs::read_to_string(place.path("tollgate.toml")).unwrap();
        for (number, network) in networks.iter().enumerate() {
            let store = format!(
                "{config}\n[store]\nkind = \"redis\"\n[store.redis]\nurls = [\"redis://{}/0\"]\ntimeout = \"300ms\"\n\
                 lease = \"{}s\"\n",
                network.address,
                LEASE.as_secs()
            );
            std::fs::write(place.path(&format!("gateway-{number}.toml")), store).unwrap();
        }
        let mut fleet = Self { place, server, networks, gateways: Vec::new(), addresses: Arc::default() };
        for number in 0..GATEWAYS {
            let (gateway, address) = fleet.place.gateway_of(&format!("gateway-{number}.toml"));
            fleet.gateways.push(gateway);
            fleet.addresses.lock().unwrap().push(address);
        }
        fleet
    }

    fn replace(&mut self, number: usize) {
        self.gateways[number].kill();
        let (gateway, address) = self.place.gateway_of(&format!("gateway-{number}.toml"));
        self.gateways[number] = gateway;
        self.addresses.lock().unwrap()[number] = address;
    }

    async fn look(&self) -> SharedStore {
        let options = SharedOptions::at(self.server.url());
        SharedStore::look(&options, Arc::new(SystemClock)).await.unwrap()
    }
}

/// Calls one gateway after the other until it is over.
async fn caller(
    fleet: Arc<Mutex<Vec<SocketAddr>>>,
    key: String,
    first: u64,
    over: Arc<AtomicBool>,
    answers: Arc<Answers>,
) {
    let mut next = first;
    while !over.load(Ordering::Relaxed) {
        let address = fleet.lock().unwrap()[usize::try_from(next).unwrap() % GATEWAYS];
        match call(address, &key, next).await {
            Some(200) => _ = answers.fine.fetch_add(1, Ordering::Relaxed),
            Some(402) => _ = answers.over_budget.fetch_add(1, Ordering::Relaxed),
            Some(503) => _ = answers.unavailable.fetch_add(1, Ordering::Relaxed),
            Some(other) => panic!("{other}"),
            None => tokio::task::yield_now().await,
        }
        next += 1;
    }
}

async fn more(count: &AtomicU64, by: u64, what: &str) {
    let wanted = count.load(Ordering::Relaxed) + by;
    eventually(what, async || (count.load(Ordering::Relaxed) >= wanted).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_on_one_store_lose_nothing_and_exceed_no_budget() {
    let rounds = number("TOLLGATE_CHAOS_ROUNDS", 4);
    let callers = number("TOLLGATE_CHAOS_CALLERS", 48);
    let mut fleet = Fleet::new().await;
    let (over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Answers::default()));
    let callers: Vec<_> = (0..callers)
        .map(|number| {
            let (_, owner, _) = PROFILES[usize::try_from(number % 3).unwrap()];
            let key = fleet.place.keys[owner].clone();
            tokio::spawn(caller(Arc::clone(&fleet.addresses), key, number, Arc::clone(&over), Arc::clone(&answers)))
        })
        .collect();
    for round in 0..rounds {
        more(&answers.fine, 30 + round * 37 % 50, "so many answers").await;
        let number = usize::try_from(round).unwrap() % GATEWAYS;
        match round % 4 {
            0 => fleet.replace(number),
            1 => {
                fleet.server.kill();
                more(&answers.unavailable, 20, "refusals without the store").await;
                fleet.server.start_again();
            }
            2 => {
                fleet.networks[number].cut.send_replace(true);
                more(&answers.unavailable, 20, "refusals of the one that is cut off").await;
                fleet.networks[number].cut.send_replace(false);
            }
            _ => {
                // Long enough that the others take it to be dead.
                fleet.networks[number].cut.send_replace(true);
                let leases = async || -> usize {
                    let leases: Vec<String> = fleet.server.ask(&["ZRANGE", "{tollgate:default}:leases", "0", "-1"]);
                    leases.len()
                };
                eventually("its lease has ended", async || (leases().await < GATEWAYS).then_some(())).await;
                fleet.networks[number].cut.send_replace(false);
            }
        }
    }
    more(&answers.fine, 30, "answers after all that").await;
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    answered_to_the_end(&fleet.place).await;
    // One gateway is left when the leases of the dead end; then it stops as well.
    for number in 1..GATEWAYS {
        fleet.gateways[number].stop();
    }
    eventually("the dead have been collected", async || {
        let held: Vec<String> = fleet.server.ask(&["KEYS", "*:held:*"]);
        held.is_empty().then_some(())
    })
    .await;
    fleet.gateways[0].stop();

    let store = fleet.look().await;
    let (bill, counters) = (store.bill().await.unwrap(), store.counters().await.unwrap());
    let crashed = agree(&bill, &counters, &fleet.place.bedrock.received());
    assert!(crashed > 0, "no call ran at any kill: the run proves nothing");
    let (over_budget, unavailable) =
        (answers.over_budget.load(Ordering::Relaxed), answers.unavailable.load(Ordering::Relaxed));
    assert!(over_budget > 0, "alice's budget was never exhausted: the run proves nothing");
    let leases: Vec<String> = fleet.server.ask(&["ZRANGE", "{tollgate:default}:leases", "0", "-1"]);
    assert_eq!(leases, Vec::<String>::new(), "who ends well leaves no lease behind");
    println!(
        "{rounds} disturbances, {} calls, {crashed} settled at their reservation, {over_budget} over budget, {unavailable} refused without the store",
        bill.calls()
    );
}
