// How a photo becomes what the network takes, in plain Swift. Copy it freely.
// Give it an upright RGB photo: apply the EXIF orientation before. Give the result to the model as it is.

let (HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR) = (24, 20, false, false)

typealias Weights = [[(old: Int, weight: Double)]]

/// `pixels`: red, green, blue of each pixel, row by row.
/// Gives `HEIGHT * WIDTH * 3` numbers, or `HEIGHT * WIDTH` if `IS_GREY`.
func preprocess(_ pixels: [UInt8], height: Int, width: Int) -> [UInt8] {
    var (image, h, w) = (pixels, height, width)
    var (rows, columns) = (max(1, h / HEIGHT), max(1, w / WIDTH))
    if HAS_ONE_FACTOR { rows = min(rows, columns); columns = rows }
    if max(rows, columns) >= 2 {
        let (newH, newW) = (h / rows, w / columns)
        let area = Double(h * w) / Double(newH * newW)
        // A mean of n.5 goes up for blocks of 2x2, else to the even number.
        let rule: FloatingPointRoundingRule = h == 2 * newH && w == 2 * newW ? .toNearestOrAwayFromZero : .toNearestOrEven
        image = combine(image, h, w, shares(h, newH), shares(w, newW)) { ($0 / area).rounded(rule) }
        (h, w) = (newH, newW)
    }
    if h != HEIGHT || w != WIDTH {
        image = combine(image, h, w, cubic(h, HEIGHT), cubic(w, WIDTH)) { $0.rounded(.toNearestOrEven) }
    }
    guard IS_GREY else { return image }
    return stride(from: 0, to: image.count, by: 3).map {
        UInt8((9798 * Int(image[$0]) + 19235 * Int(image[$0 + 1]) + 3735 * Int(image[$0 + 2]) + 16384) >> 15)
    }
}

/// How much of each old pixel lies below each new one.
func shares(_ size: Int, _ newSize: Int) -> Weights {
    let scale = Double(size) / Double(newSize)
    return (0..<newSize).map { place in
        let (start, end) = (Double(place) * scale, Double(place + 1) * scale)
        return (Int(start)..<min(size, Int(end.rounded(.up)))).map { ($0, min(end, Double($0 + 1)) - max(start, Double($0))) }
    }
}

/// Weights of a cubic through 4 pixels (a = -0.75).
func cubic(_ size: Int, _ newSize: Int) -> Weights {
    let scale = Double(size) / Double(newSize)
    return (0..<newSize).map { place in
        let at = Float((Double(place) + 0.5) * scale - 0.5)
        let first = Int(at.rounded(.down)), x = at - at.rounded(.down), y = 1 - x, a: Float = -0.75
        let w0 = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
        let w1 = ((a + 2) * x - (a + 3)) * x * x + 1
        let w2 = ((a + 2) * y - (a + 3)) * y * y + 1
        return [w0, w1, w2, 1 - w0 - w1 - w2].enumerated().map { offset, weight in
            (min(size - 1, max(0, first - 1 + offset)), Double(weight))
        }
    }
}

/// The weighted sums, first along the rows and then down the columns, each made a byte by `finish`.
func combine(_ image: [UInt8], _ h: Int, _ w: Int, _ down: Weights, _ across: Weights, _ finish: (Double) -> Double) -> [UInt8] {
    let newW = across.count
    var between = [Double](repeating: 0, count: h * newW * 3)
    for y in 0..<h { for x in 0..<newW { for (old, weight) in across[x] { for c in 0..<3 {
        between[3 * (y * newW + x) + c] += weight * Double(image[3 * (y * w + old) + c])
    } } } }
    var made = [UInt8](repeating: 0, count: down.count * newW * 3)
    for y in 0..<down.count { for i in 0..<(3 * newW) {
        let sum = down[y].reduce(0.0) { $0 + $1.weight * between[$1.old * 3 * newW + i] }
        made[3 * y * newW + i] = UInt8(min(255, max(0, finish(sum))))
    } }
    return made
}
