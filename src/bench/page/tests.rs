use super::render;
use crate::backend::Backend;
use crate::bench::{Absent, Crossover, Loop, Results};

fn fixture() -> Results {
    Results::from_json("fixture.json", include_str!("../fixture.json")).expect("the fixture has the schema")
}

/// What must hold for every page, whatever the data: it loads nothing, nothing that is no number is drawn, and every element that needs
/// an end tag has one.
fn check(results: &Results) -> String {
    let page = render(results, None);
    for word in ["http:", "https:", "src=", "@import", "<link", "<img"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("url(").count(), page.matches("url(#plot)").count());
    let body = page.split("<body>").nth(1).expect("one body");
    let drawn = body.split("<script>").next().expect("split yields one part");
    for word in ["NaN", "inf ", "inf\"", "inf<", "Infinity"] {
        assert!(
            !drawn.contains(word),
            "{word} in {}",
            &drawn[drawn.find(word).unwrap_or(0).saturating_sub(200)..][..300]
        );
    }
    balanced(drawn);
    page
}

/// Start and end tags match. What HTML lets go without an end tag is left out, as is what closes itself.
fn balanced(html: &str) {
    let mut open = Vec::new();
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().expect("split yields one part");
        let name: String = tag.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        if tag.ends_with('/')
            || ["p", "th", "td", "tr", "li", "dt", "dd"].contains(&name.trim_start_matches('/'))
        {
            continue;
        }
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "after <{tag}>"),
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// What a reader sees of it, in one line.
fn text(page: &str) -> String {
    let parts = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    parts.collect::<Vec<_>>().join("").replace(['\u{a0}', '\u{202f}'], " ")
}

/// Synthetic: one loop of elements at decades, whose backends take a fixed time and one for each element, in nanoseconds.
fn modelled(name: &str, costs: &[(Backend, f64, f64)], crossovers: &[(Backend, Backend, f64)]) -> Loop {
    let mut of = fixture().loops.remove(0);
    of.name = name.to_owned();
    of.element = "element".to_owned();
    of.crossovers = crossovers.iter().map(|&(from, to, n)| Crossover { from, to, n }).collect();
    let size = of.sizes[0].clone();
    let sizes = [10, 1000, 100_000, 10_000_000].map(|n| {
        let mut size = size.clone();
        size.n = n;
        (size.bytes, size.flops) = (8.0 * n as f64, 2.0 * n as f64);
        let mut point = size.points[0].clone();
        size.points.clear();
        for &(backend, fixed, each) in costs {
            point.backend = backend;
            let median = fixed + each * n as f64;
            (point.time.median, point.time.low, point.time.high) = (median, 0.99 * median, 1.01 * median);
            size.points.push(point.clone());
        }
        let fastest = size.points.iter().min_by(|a, b| a.time.median.total_cmp(&b.time.median));
        size.winner = fastest.map(|point| point.backend);
        if let Some(dispatcher) = &mut size.dispatcher {
            (dispatcher.regret, dispatcher.floor) = (Some(0.001), Some(0.0));
        }
        size
    });
    of.sizes = sizes.into();
    of
}

#[test]
fn the_page_says_who_wins_where_and_by_how_much() {
    use Backend::{Gpu, Simd, Threads};
    let mut results = fixture();
    let cpu = [(Simd, 100.0, 2.0), (Threads, 5100.0, 0.5)];
    results.loops = vec![
        modelled("two", &[cpu[0], cpu[1], (Gpu, 1e6, 1.5)], &[(Simd, Threads, 3333.0)]),
        modelled(
            "three",
            &[cpu[0], cpu[1], (Gpu, 15e4, 0.1)],
            &[(Simd, Threads, 3333.0), (Threads, Gpu, 362_250.0)],
        ),
        modelled("always", &[(Simd, 100.0, 0.5), (Threads, 5100.0, 0.75)], &[]),
        modelled("even", &cpu, &[(Simd, Threads, 1e6)]),
    ];
    results.loops[3].sizes[3].tie = true;
    if let Some(dispatcher) = &mut results.loops[1].sizes[1].dispatcher {
        (dispatcher.choice, dispatcher.regret) = (Threads, Some(0.097));
    }
    let regret = results.regret.as_mut().expect("the fixture has one");
    (regret.time_weighted, regret.floor_time_weighted) = (0.00352, 0.0019);
    results.absent.clear();
    results.command = ["forall", "bench", "two", "--html", "a report.html"].map(str::to_owned).into();
    let text = text(&check(&results));
    for sentence in [
        "Fastest at the largest size: gpu in 1 of 4 loops, simd in 1, threads in 1, too close to tell in 1",
        "simd up to 3 300 elements, threads from there: 3.2× faster than gpu at 10⁷.",
        "gpu: never the fastest; at best 3.2× slower than threads, at 10⁷.",
        "simd up to 3 300 elements, threads up to 360 000, gpu from there: 4.4× faster than threads at 10⁷.",
        "simd at every size: 1.5× faster than threads at 10⁷.",
        "threads from there; at 10⁷ too close to simd to tell.",
        // Ranges of the strips: from 10 to 1000 elements, and from 100 000 on.
        "twosimd2.7–43×threads3.2–3.6×",
        // A tie says nothing of how many times.
        "evensimd2.7–43×threadsthreads 0.501 ns per element",
        "1 of the sizes cost 5.0 % or more. The most:+9.7 % three at 1 000 elements: chose threads, simd was faster",
        "0.35 % of all time",
        "noise alone: 0.19 %",
        "forall bench two --html 'a report.html'",
    ] {
        assert!(text.contains(&sentence.replace('\'', "&#39;")), "{sentence}\n{text}");
    }
}

#[test]
fn strips_end_with_who_is_fastest_there() {
    use Backend::{Simd, Threads};
    let mut results = fixture();
    // Nothing to tell but at the end: ties before that are nobody's.
    let mut of = modelled("late", &[(Simd, 100.0, 2.0), (Threads, 101.0, 1.5)], &[]);
    for size in &mut of.sizes[..3] {
        (size.winner, size.tie) = (Some(Simd), true);
    }
    results.loops = vec![of];
    let strip = render(&results, None);
    assert_eq!(strip.matches("class=\"segment threads\"").count(), 1, "{strip}");
    assert!(!strip.contains("class=\"segment simd\"") && strip.matches("class=tie").count() == 3);
    // The last one is another's, by too little for a crossover: pale too.
    let last = &mut results.loops[0].sizes[3];
    (last.winner, last.tie) = (Some(Simd), false);
    results.loops[0].crossovers = vec![Crossover { from: Simd, to: Threads, n: 50.0 }];
    let strip = render(&results, None);
    assert!(
        strip.contains("class=\"segment threads\"") && strip.matches("class=tie").count() == 4,
        "{strip}"
    );
}

#[test]
fn a_page_of_first_calls_says_so() {
    let mut results = fixture();
    let says = |results: &Results| text(&check(results)).contains("the first call of a process of its own");
    assert!(!says(&results));
    results.settings.cold = true;
    results.machine.roofs.clear();
    assert!(says(&results));
}

#[test]
fn what_comes_from_outside_is_text() {
    let hostile = "</script></style></title><img src=x onerror=\"alert('1')\">".to_owned();
    let mut results = fixture();
    for of in &mut results.loops {
        of.name.clone_from(&hostile);
        of.what.clone_from(&hostile);
        of.element.clone_from(&hostile);
        for size in &mut of.sizes {
            size.label = Some(hostile.clone());
            size.points.retain(|point| point.backend != Backend::Gpu);
            size.absent.push(Absent { backend: Backend::Gpu, reason: hostile.clone() });
        }
    }
    results.absent = vec![Absent { backend: Backend::Gpu, reason: hostile.clone() }];
    results.command = vec!["forall".to_owned(), hostile.clone()];
    results.date.clone_from(&hostile);
    let machine = &mut results.machine;
    for field in [
        &mut machine.cpu,
        &mut machine.arch,
        &mut machine.os,
        &mut machine.level,
        &mut machine.library,
        &mut machine.build,
    ] {
        field.clone_from(&hostile);
    }
    (machine.adapter, machine.driver) = (Some(hostile.clone()), Some(hostile));
    let mut other = results.clone();
    other.machine.cpu = "another".to_owned();
    other.loops.iter_mut().flat_map(|of| &mut of.sizes).flat_map(|size| &mut size.points).for_each(|point| {
        let time = &mut point.time;
        (time.median, time.low, time.high) = (time.median / 2.0, time.low / 2.0, time.high / 2.0);
    });
    let page = render(&results, Some(&results.since(&other).unwrap()));
    assert!(!page.contains("<img"));
    for end in ["</script>", "</style>", "</title>"] {
        let own = render(&fixture(), None).matches(end).count();
        // Hints are titles too, and there are fewer points here.
        assert!(page.matches(end).count() <= own, "{end}");
    }
    assert!(page.contains("&lt;/script&gt;") && page.contains("onerror=&quot;alert(&#39;1&#39;)"));
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let mut results = fixture();
    results.loops.clear();
    results.regret = None;
    results.machine = Default::default();
    let words = text(&check(&results));
    assert!(words.contains("Nothing was measured") && words.contains("How it was measured"), "{words}");
    let mut results = fixture();
    for of in &mut results.loops {
        of.sizes.clear();
        of.crossovers.clear();
    }
    assert!(text(&check(&results)).contains("No time of this loop can be drawn."));
}

#[test]
fn one_size_or_one_backend_is_enough() {
    let mut results = fixture();
    results.loops = vec![modelled("one", &[(Backend::Simd, 0.0, 2.0), (Backend::Threads, 0.0, 3.0)], &[])];
    results.loops[0].sizes.truncate(1);
    let words = text(&check(&results));
    assert!(words.contains("one: simd at 10 elements: 1.5× faster than threads at 10"), "{words}");
    results.absent = vec![Absent { backend: Backend::Gpu, reason: "no adapter".to_owned() }];
    results.loops = vec![modelled("alone", &[(Backend::Simd, 0.0, 2.0)], &[])];
    let text = text(&check(&results));
    assert!(text.contains("alone: Only simd ran: 2.00 ns per element at 10⁷"), "{text}");
    assert!(text.contains("gpu: not available (no adapter)"));
}

#[test]
fn numbers_that_are_none_break_nothing() {
    for value in [f64::NAN, 0.0, -1.0, f64::INFINITY, f64::MIN_POSITIVE, f64::MAX] {
        let mut results = fixture();
        for (i, of) in results.loops.iter_mut().enumerate() {
            for size in of.sizes.iter_mut().skip(i * 5) {
                for time in size.points.iter_mut().map(|point| &mut point.time) {
                    (time.median, time.low, time.high) = (value, value, value);
                }
                (size.bytes, size.flops) = (value, value);
                if let Some(dispatcher) = &mut size.dispatcher {
                    (dispatcher.regret, dispatcher.floor) = (Some(value), Some(value));
                }
            }
            of.sizes[0].n = 0;
            of.crossovers.push(Crossover { from: Backend::Gpu, to: Backend::Simd, n: value });
        }
        if let Some(roof) = results.machine.roofs.first_mut() {
            roof.flops = value;
        }
        if let Some(regret) = &mut results.regret {
            (regret.mean, regret.floor_mean) = (value, value);
        }
        (results.settings.budget, results.settings.precision, results.seconds) = (value, value, value);
        check(&results);
    }
}

#[test]
fn changes_since_a_baseline_are_told() {
    let before = fixture();
    let mut now = before.clone();
    let time = &mut now.loops[0].sizes[0].points[1].time;
    (time.median, time.low, time.high) = (2.0 * time.median, 2.0 * time.low, 2.0 * time.high);
    let page = render(&now, Some(&now.since(&before).unwrap()));
    balanced(page.split("<body>").nth(1).and_then(|body| body.split("<script>").next()).expect("a body"));
    let words = text(&page);
    assert!(words.contains("became slower, 2.0× at worst, and 0 faster."), "{words}");
    assert!(words.contains("Slowerloopelements"));
    assert!(
        text(&render(&now, Some(&now.since(&now).unwrap())))
            .contains("Since the baseline nothing has changed, of ")
    );
}

#[test]
fn roofs_that_are_missing_are_said_to_be() {
    let mut results = fixture();
    results.machine.roofs.clear();
    assert!(
        text(&check(&results))
            .contains("Not drawn: these results do not say what the machine can do at best.")
    );
    let mut results = fixture();
    for size in results.loops.iter_mut().flat_map(|of| &mut of.sizes) {
        size.flops = 0.0;
    }
    assert!(text(&check(&results)).contains("Not drawn: no loop was measured whose operations are counted."));
}

#[test]
fn many_loops_and_long_names_are_one_page_of_some_hundred_kilobytes() {
    let mut results = fixture();
    let of = results.loops[0].clone();
    results.loops = (0..14)
        .map(|i| {
            let mut of = of.clone();
            of.name = format!("{}{i}", "a_very_long_name_".repeat(40));
            of.sizes = (0..25)
                .map(|k| {
                    let mut size = of.sizes[k % of.sizes.len()].clone();
                    size.n = 10_f64.powf(1.0 + 0.25 * k as f64) as usize;
                    size
                })
                .collect();
            of
        })
        .collect();
    let page = check(&results);
    assert!(page.len() < 1 << 20, "{}", page.len());
}
