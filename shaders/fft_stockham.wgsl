// Discrete Fourier transform of n = 2^k complex numbers, X[j] = sum over i of x[i] exp(-2 pi sqrt(-1) i j / n), by Stockham's
// autosort algorithm (1966): each launch reads one buffer and writes the other in the order the next one wants, so no
// bit reversal is left at the end.
//
//     before a launch   `input` holds, interleaved, n / done transforms of `done` numbers each
//     radix_4           puts four of them together; done becomes 4 * done
//     radix_2           puts two of them together: once, if k is odd
//
// Start with done = 1, and end with done = n.
//
// input, output   n numbers: real part, imaginary part
// roots           n numbers: roots[i] = exp(-2 pi sqrt(-1) i / n), computed once, because sin and cos of WGSL are not exact enough
// done            length of the transforms in `input`
// Workgroups: ceil(n / radix / 256).

@group(0) @binding(0) var<storage, read> input: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> output: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> roots: array<vec2<f32>>;
@group(0) @binding(3) var<uniform> done: u32;

// The product of two complex numbers.
fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

@compute @workgroup_size(256)
fn radix_4(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = arrayLength(&input);
    let quarter = n / 4u;
    let i = id.x;
    if i >= quarter {
        return;
    }
    // Which number of its transform this is: `done` is a power of two.
    let k = i & (done - 1u);
    let root = roots[k * (quarter / done)];
    let square = times(root, root);

    let a = input[i];
    let b = times(root, input[i + quarter]);
    let c = times(square, input[i + 2u * quarter]);
    let d = times(times(square, root), input[i + 3u * quarter]);

    let even_sum = a + c;
    let even_difference = a - c;
    let odd_sum = b + d;
    // (b - d) / sqrt(-1)
    let odd_difference = vec2<f32>(b.y - d.y, d.x - b.x);

    let at = 4u * i - 3u * k;
    output[at] = even_sum + odd_sum;
    output[at + done] = even_difference + odd_difference;
    output[at + 2u * done] = even_sum - odd_sum;
    output[at + 3u * done] = even_difference - odd_difference;
}

@compute @workgroup_size(256)
fn radix_2(@builtin(global_invocation_id) id: vec3<u32>) {
    let n = arrayLength(&input);
    let half = n / 2u;
    let i = id.x;
    if i >= half {
        return;
    }
    let k = i & (done - 1u);

    let a = input[i];
    let b = times(roots[k * (half / done)], input[i + half]);

    let at = 2u * i - k;
    output[at] = a + b;
    output[at + done] = a - b;
}
