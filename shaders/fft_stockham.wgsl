// Discrete Fourier transform of n = 2^k complex numbers, X[j] = sum over i of x[i] exp(-2 pi sqrt(-1) i j / n), by Stockham's
// autosort algorithm (1966): each launch reads one buffer and writes the other in the order the next one wants, so no
// bit reversal is left at the end.
//
// Before a launch, `input` holds n / done transforms of `done` numbers each, one after the other; number t of transform j is of
// the numbers j, j + n / done, j + 2 n / done, ... of x. A launch puts some of them together:
//
//     radix_64        done = 1; becomes 64, by three steps of radix 4 in workgroup memory; n >= 1024
//     radix_4         becomes 4 done; done <= n / 4
//     radix_4_long    the same for done >= 64
//     radix_2         done = n / 2: the last step, if k is odd
//
// input, output   2 n numbers: the real parts, then the imaginary parts
// roots           likewise: root i is exp(-2 pi sqrt(-1) i / n). From outside, because sin and cos of WGSL are not exact enough
// done            see above; not for radix_64 and radix_2
// Workgroups: ceil(n / 1024), for radix_2 ceil(n / 512).

@group(0) @binding(0) var<storage, read> input: array<f32>;
@group(0) @binding(1) var<storage, read_write> output: array<f32>;
@group(0) @binding(2) var<storage, read> roots: array<f32>;
@group(0) @binding(3) var<uniform> done: u32;

// A complex number.
alias Complex = vec2<f32>;

fn times(a: Complex, b: Complex) -> Complex {
    return Complex(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

fn number(i: u32) -> Complex {
    return Complex(input[i], input[arrayLength(&input) / 2u + i]);
}

fn put(i: u32, value: Complex) {
    output[i] = value.x;
    output[arrayLength(&output) / 2u + i] = value.y;
}

fn root(i: u32) -> Complex {
    return Complex(roots[i], roots[arrayLength(&roots) / 2u + i]);
}

// The transform of four numbers, of which the last three are turned by a root, its square and its third power.
struct Four {
    a: Complex,
    b: Complex,
    c: Complex,
    d: Complex,
}

fn transform(root: Complex, a: Complex, b: Complex, c: Complex, d: Complex) -> Four {
    let square = times(root, root);
    let b_turned = times(root, b);
    let c_turned = times(square, c);
    let d_turned = times(times(square, root), d);
    let sum = a + c_turned;
    let difference = a - c_turned;
    let odd_sum = b_turned + d_turned;
    let odd = b_turned - d_turned;
    // odd / sqrt(-1)
    let odd_difference = Complex(odd.y, -odd.x);
    return Four(sum + odd_sum, difference + odd_difference, sum - odd_sum, difference - odd_difference);
}

// Puts together four transforms: number k of each, which is number i of all first ones.
fn step(i: u32, k: u32) {
    let quarter = arrayLength(&input) / 8u;
    if i >= quarter {
        return;
    }
    let four = transform(
        root(k * (quarter / done)),
        number(i),
        number(i + quarter),
        number(i + 2u * quarter),
        number(i + 3u * quarter),
    );
    let at = 4u * i - 3u * k;
    put(at, four.a);
    put(at + done, four.b);
    put(at + 2u * done, four.c);
    put(at + 3u * done, four.d);
}

@compute @workgroup_size(256)
fn radix_4(@builtin(global_invocation_id) id: vec3<u32>) {
    // i modulo `done`, a power of two.
    step(id.x, id.x & (done - 1u));
}

// Here 64 neighbours have 64 neighbouring k, so they write side by side.
@compute @workgroup_size(64, 4)
fn radix_4_long(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let first = 64u * (4u * group.x + local.y);
    step(first + local.x, (first & (done - 1u)) + local.x);
}

@compute @workgroup_size(256)
fn radix_2(@builtin(global_invocation_id) id: vec3<u32>) {
    let half = arrayLength(&input) / 4u;
    if id.x < half {
        let a = number(id.x);
        let b = times(root(id.x), number(id.x + half));
        put(id.x, a + b);
        put(id.x + half, a - b);
    }
}

// radix_64: a workgroup makes 16 transforms of 64 numbers, a column each. One word of padding in a row: whole columns are read
// at the end.
const ROW = 17u;
var<workgroup> real: array<f32, 64u * ROW>;
var<workgroup> imaginary: array<f32, 64u * ROW>;

fn in_tile(row: u32, column: u32) -> Complex {
    return Complex(real[row * ROW + column], imaginary[row * ROW + column]);
}

fn put_in_tile(row: u32, column: u32, value: Complex) {
    real[row * ROW + column] = value.x;
    imaginary[row * ROW + column] = value.y;
}

fn put_four(row: u32, apart: u32, column: u32, four: Four) {
    workgroupBarrier();
    put_in_tile(row, column, four.a);
    put_in_tile(row + apart, column, four.b);
    put_in_tile(row + 2u * apart, column, four.c);
    put_in_tile(row + 3u * apart, column, four.d);
    workgroupBarrier();
}

fn step_in_tile(root: Complex, i: u32, column: u32) -> Four {
    return transform(
        root,
        in_tile(i, column),
        in_tile(i + 16u, column),
        in_tile(i + 32u, column),
        in_tile(i + 48u, column),
    );
}

@compute @workgroup_size(16, 16)
fn radix_64(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let n = arrayLength(&input) / 2u;
    let x = local.x;
    let y = local.y;

    // 1 -> 4: number t of a column lies n / 64 behind number t - 1. All k are 0.
    let column = 16u * group.x + x;
    let quarter = n / 4u;
    let at = column + y * (n / 64u);
    let one = Complex(1.0, 0.0);
    let fours = transform(
        one,
        number(at),
        number(at + quarter),
        number(at + 2u * quarter),
        number(at + 3u * quarter),
    );
    put_four(4u * y, 1u, x, fours);

    // 4 -> 16
    let k = y % 4u;
    put_four(4u * y - 3u * k, 4u, x, step_in_tile(root(k * (n / 16u)), y, x));

    // 16 -> 64
    put_four(y, 16u, x, step_in_tile(root(y * (n / 64u)), y, x));

    // One column after the other.
    for (var part = 0u; part < 4u; part++) {
        let row = 16u * (y % 4u) + x;
        let column = 4u * part + y / 4u;
        put(64u * (16u * group.x + column) + row, in_tile(row, column));
    }
}
