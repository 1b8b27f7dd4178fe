//! The job as one native loop: what a core could do without Beam, Python, or state that survives.
//!
//! native-loop BROKER IN OUT learn|list
//!
//! Matrix factorization by incremental SGD with FluRS's defaults (k = 40, learning rate 0.003,
//! L2 0.01), in single precision, all users and items known beforehand, as the other rivals have
//! it. Reads with librdkafka, decodes with serde_json, and scores every item for each list.

use std::env;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::SeedableRng;
use rand_distr::{Distribution, Normal};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde::{Deserialize, Serialize};

const USERS: usize = 943;
const ITEMS: usize = 1682;
const FACTORS: usize = 40;
const LEARN_RATE: f32 = 0.003;
const L2_REG: f32 = 0.01;
const MIN_RATING: f64 = 3.0;
const TOP_N: usize = 10;

#[derive(Deserialize)]
struct Rating {
    user: usize,
    item: usize,
    rating: f64,
    timestamp: f64,
}

#[derive(Serialize)]
struct ScoredItem {
    item: String,
    score: f32,
}

#[derive(Serialize)]
struct Recommendation {
    user: String,
    items: Vec<ScoredItem>,
    timestamp: f64,
    origin: String,
}

type Factors = Vec<[f32; FACTORS]>;

struct Model {
    users: Factors,
    items: Factors,
    seen: Vec<Vec<bool>>,
    distances: Vec<(f32, usize)>,
}

impl Model {
    fn new() -> Self {
        let normal = Normal::new(0.0f32, 0.1).expect("a standard deviation above 0");
        let mut random = StdRng::seed_from_u64(0);
        let mut draw = |rows: usize| -> Factors {
            (0..rows)
                .map(|_| std::array::from_fn(|_| normal.sample(&mut random)))
                .collect()
        };
        Model {
            users: draw(USERS),
            items: draw(ITEMS),
            seen: vec![vec![false; ITEMS]; USERS],
            distances: Vec::with_capacity(ITEMS),
        }
    }

    fn learn(&mut self, user: usize, item: usize) {
        let (p, q) = (&mut self.users[user], &mut self.items[item]);
        let error = 1.0 - dot(p, q);
        for (p, q) in p.iter_mut().zip(q.iter_mut()) {
            let (old_p, old_q) = (*p, *q);
            *p += 2.0 * LEARN_RATE * (error * old_q - L2_REG * old_p);
            *q += 2.0 * LEARN_RATE * (error * old_p - L2_REG * old_q);
        }
        self.seen[user][item] = true;
    }

    /// Returns the unseen items whose score is nearest to 1, nearest first.
    fn recommend(&mut self, user: usize) -> Vec<ScoredItem> {
        let (p, seen) = (&self.users[user], &self.seen[user]);
        self.distances.clear();
        for (item, q) in self.items.iter().enumerate() {
            if !seen[item] {
                self.distances.push(((1.0 - dot(p, q)).abs(), item));
            }
        }
        let found = TOP_N.min(self.distances.len());
        let by_distance = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0);
        if found < self.distances.len() {
            self.distances.select_nth_unstable_by(found, by_distance);
        }
        self.distances[..found].sort_unstable_by(by_distance);
        self.distances[..found]
            .iter()
            .map(|&(distance, item)| ScoredItem {
                item: (item + 1).to_string(),
                score: 1.0 - distance,
            })
            .collect()
    }
}

fn dot(p: &[f32; FACTORS], q: &[f32; FACTORS]) -> f32 {
    // Eight sums, which the compiler keeps in vector registers.
    let mut sums = [0.0f32; 8];
    for (p, q) in p.chunks_exact(8).zip(q.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += p[lane] * q[lane];
        }
    }
    sums.iter().sum()
}

fn send(producer: &BaseProducer, topic: &str, key: &[u8], payload: &[u8]) {
    loop {
        let record = BaseRecord::to(topic).key(key).payload(payload);
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [broker, source, target, mode] = arguments.as_slice() else {
        panic!("expected BROKER IN OUT learn|list");
    };
    let lists = mode == "list";
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", format!("loop-{target}"))
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        // As ours: by default a full queue makes it wait for a second.
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    consumer.subscribe(&[source]).expect("a topic");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("linger.ms", "5")
        .create()
        .expect("a producer");
    let mut model = Model::new();
    loop {
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else {
            producer.poll(Duration::ZERO);
            continue;
        };
        let message = polled.expect("a record");
        let value = message.payload().unwrap_or_default();
        let Ok(rating) = serde_json::from_slice::<Rating>(value) else {
            send(&producer, target, b"", value);
            producer.flush(Duration::from_secs(10)).expect("a broker");
            continue;
        };
        if rating.rating < MIN_RATING {
            continue;
        }
        let user = rating.user - 1;
        model.learn(user, rating.item - 1);
        if lists {
            let recommendation = Recommendation {
                user: rating.user.to_string(),
                items: model.recommend(user),
                timestamp: rating.timestamp,
                origin: format!("{source}-{}-{}", message.partition(), message.offset()),
            };
            let encoded = serde_json::to_vec(&recommendation).expect("finite scores");
            send(&producer, target, recommendation.user.as_bytes(), &encoded);
            producer.poll(Duration::ZERO);
        }
    }
}
