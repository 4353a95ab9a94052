// How a photo becomes what the network takes, in plain Kotlin. Copy it freely.
// Give it an upright RGB photo: apply the EXIF orientation before. Give the result to the model as it is.

import kotlin.math.ceil
import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min

const val HEIGHT = 24; const val WIDTH = 20; const val IS_GREY = false; const val HAS_ONE_FACTOR = false

class Weight(val old: Int, val weight: Double)

/**
 * `pixels`: red, green, blue of each pixel, 0 to 255, row by row.
 * Gives `HEIGHT * WIDTH * 3` numbers, or `HEIGHT * WIDTH` if `IS_GREY`.
 */
fun preprocess(pixels: IntArray, height: Int, width: Int): IntArray {
    var image = pixels; var h = height; var w = width
    var rows = max(1, h / HEIGHT); var columns = max(1, w / WIDTH)
    if (HAS_ONE_FACTOR) { rows = min(rows, columns); columns = rows }
    if (max(rows, columns) >= 2) {
        val newH = h / rows; val newW = w / columns
        val area = (h.toDouble() * w) / (newH.toDouble() * newW)
        // A mean of n.5 goes up for blocks of 2x2, else to the even number.
        val isTwoByTwo = h == 2 * newH && w == 2 * newW
        image = combine(image, h, w, shares(h, newH), shares(w, newW)) {
            if (isTwoByTwo) floor(it / area + 0.5) else Math.rint(it / area)
        }
        h = newH; w = newW
    }
    if (h != HEIGHT || w != WIDTH) {
        image = combine(image, h, w, cubic(h, HEIGHT), cubic(w, WIDTH)) { Math.rint(it) }
    }
    if (!IS_GREY) return image
    return IntArray(image.size / 3) { (9798 * image[3 * it] + 19235 * image[3 * it + 1] + 3735 * image[3 * it + 2] + 16384) shr 15 }
}

/** How much of each old pixel lies below each new one. */
fun shares(size: Int, newSize: Int): List<List<Weight>> = List(newSize) { place ->
    val scale = size.toDouble() / newSize
    val start = place * scale; val end = (place + 1) * scale
    (start.toInt() until min(size, ceil(end).toInt())).map { Weight(it, min(end, it + 1.0) - max(start, it.toDouble())) }
}

/** Weights of a cubic through 4 pixels (a = -0.75). */
fun cubic(size: Int, newSize: Int): List<List<Weight>> = List(newSize) { place ->
    val at = ((place + 0.5) * (size.toDouble() / newSize) - 0.5).toFloat()
    val first = floor(at).toInt(); val x = at - floor(at); val y = 1 - x; val a = -0.75f
    val w0 = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    val w1 = ((a + 2) * x - (a + 3)) * x * x + 1
    val w2 = ((a + 2) * y - (a + 3)) * y * y + 1
    listOf(w0, w1, w2, 1 - w0 - w1 - w2).mapIndexed { i, weight ->
        Weight(min(size - 1, max(0, first - 1 + i)), weight.toDouble())
    }
}

/** The weighted sums, first along the rows and then down the columns, each made a byte by `finish`. */
fun combine(image: IntArray, h: Int, w: Int, down: List<List<Weight>>, across: List<List<Weight>>, finish: (Double) -> Double): IntArray {
    val newW = across.size
    val between = DoubleArray(h * newW * 3)
    for (y in 0 until h) for (x in 0 until newW) for (one in across[x]) for (c in 0 until 3) {
        between[3 * (y * newW + x) + c] += one.weight * image[3 * (y * w + one.old) + c]
    }
    return IntArray(down.size * newW * 3) { at ->
        val y = at / (3 * newW); val i = at % (3 * newW)
        min(255.0, max(0.0, finish(down[y].sumOf { it.weight * between[it.old * 3 * newW + i] }))).toInt()
    }
}
