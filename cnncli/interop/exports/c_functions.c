/* The operations of networks in C99: `c_text.py` copies into an exported file those that its network calls.

   Images are rows of pixels, channels last; kernels have Keras' layouts. */

/* The size of an image. */
typedef struct { int height, width, channels; } Image;

/* A window that slides over an image: rows and columns of each; `padding` is that above and left of the image. */
typedef struct { int size[2], strides[2], padding[2], dilation[2]; } Window;

/* Where an image has the pixel that cell (i, j) of the window meets at a position; -1 in the padding. */
static int met(Image image, Window w, int row, int column, int i, int j)
{
    const int y = row * w.strides[0] + i * w.dilation[0] - w.padding[0];
    const int x = column * w.strides[1] + j * w.dilation[1] - w.padding[1];
    const int inside = y >= 0 && y < image.height && x >= 0 && x < image.width;
    return inside ? (y * image.width + x) * image.channels : -1;
}

/* The biases of a pixel; zeros without them. */
static void start(float *y, const float *bias, int count)
{
    for (int k = 0; k < count; k++)
        y[k] = bias ? bias[k] : 0.0f;
}

/* y += x * matrix, which has a row for each x. */
static void add_product(const float *restrict x, int rows, const float *restrict matrix, float *restrict y, int columns)
{
    for (int k = 0; k < rows; k++, matrix += columns)
        for (int f = 0; f < columns; f++)
            y[f] += x[k] * matrix[f];
}

/* Convolution. The kernel is (height, width, channels, filters). */
static void conv2d(const float *x, Image in, const float *kernel, const float *bias, Window w, float *y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            const float *matrix = kernel;
            start(y, bias, out.channels);
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++, matrix += in.channels * out.channels) {
                    const int pixel = met(in, w, row, column, i, j);
                    if (pixel >= 0)
                        add_product(x + pixel, in.channels, matrix, y, out.channels);
                }
        }
}

/* Convolution of groups of channels, each with its share of the filters. The kernel is (height, width,
   channels / groups, filters). */
static void grouped_conv2d(const float *restrict x, Image in, const float *restrict kernel, const float *bias, Window w,
                           int groups, float *restrict y, Image out)
{
    const int channels = in.channels / groups, filters = out.channels / groups;
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            const float *weights = kernel;
            start(y, bias, out.channels);
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++, weights += channels * out.channels) {
                    const int pixel = met(in, w, row, column, i, j);
                    for (int f = 0; pixel >= 0 && f < out.channels; f++)
                        for (int k = 0; k < channels; k++)
                            y[f] += x[pixel + f / filters * channels + k] * weights[k * out.channels + f];
                }
        }
}

/* Convolution of each channel by itself. The kernel is (height, width, channels). */
static void depthwise_conv2d(const float *restrict x, Image in, const float *restrict kernel, const float *bias,
                             Window w, float *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            const float *weights = kernel;
            start(y, bias, out.channels);
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++, weights += in.channels) {
                    const int pixel = met(in, w, row, column, i, j);
                    for (int k = 0; pixel >= 0 && k < in.channels; k++)
                        y[k] += x[pixel + k] * weights[k];
                }
        }
}

/* Transposed convolution: each pixel adds the kernel, times its value, to a larger image. The kernel is (height, width,
   filters, channels); the window slides over the larger image. */
static void conv2d_transpose(const float *restrict x, Image in, const float *restrict kernel, const float *bias,
                             Window w, float *restrict y, Image out)
{
    for (int pixel = 0; pixel < out.height * out.width; pixel++)
        start(y + pixel * out.channels, bias, out.channels);
    for (int row = 0; row < in.height; row++)
        for (int column = 0; column < in.width; column++, x += in.channels) {
            const float *weights = kernel;
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++, weights += out.channels * in.channels) {
                    const int pixel = met(out, w, row, column, i, j);
                    for (int f = 0; pixel >= 0 && f < out.channels; f++)
                        for (int k = 0; k < in.channels; k++)
                            y[pixel + f] += x[k] * weights[f * in.channels + k];
                }
        }
}

/* Dense layer of each row. The kernel is (inputs, units). */
static void dense(const float *x, int rows, int inputs, const float *kernel, const float *bias, float *y, int units)
{
    for (int row = 0; row < rows; row++, x += inputs, y += units) {
        start(y, bias, units);
        add_product(x, inputs, kernel, y, units);
    }
}

/* The maximum of each window; padding does not count. */
static void max_pool2d(const float *restrict x, Image in, Window w, float *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            for (int k = 0; k < out.channels; k++)
                y[k] = -INFINITY;
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++) {
                    const int pixel = met(in, w, row, column, i, j);
                    for (int k = 0; pixel >= 0 && k < out.channels; k++)
                        y[k] = x[pixel + k] > y[k] ? x[pixel + k] : y[k];
                }
        }
}

/* The mean of each window; padding does not count. */
static void average_pool2d(const float *restrict x, Image in, Window w, float *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            int count = 0;
            start(y, 0, out.channels);
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++) {
                    const int pixel = met(in, w, row, column, i, j);
                    count += pixel >= 0;
                    for (int k = 0; pixel >= 0 && k < out.channels; k++)
                        y[k] += x[pixel + k];
                }
            for (int k = 0; k < out.channels; k++)
                y[k] /= (float)count;
        }
}

/* An image with so many rows above and columns left of it cut off; negative numbers add zeros, as at other ends. */
static void frame(const float *restrict x, Image in, int above, int left, float *restrict y, Image out)
{
    const Window cell = {{1, 1}, {1, 1}, {-above, -left}, {1, 1}};
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            const int pixel = met(in, cell, row, column, 0, 0);
            start(y, pixel < 0 ? 0 : x + pixel, out.channels);
        }
}

/* Each pixel repeated. */
static void up_sample2d(const float *restrict x, Image in, float *restrict y, Image out)
{
    const int rows = out.height / in.height, columns = out.width / in.width;
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels)
            start(y, x + (row / rows * in.width + column / columns) * in.channels, out.channels);
}

/* Pixels that are weighted sums of `taps` rows and columns of an image, from a first one on. */
static void resample(const float *restrict x, Image in, const int32_t *first_rows, const float *row_weights,
                     int row_taps, const int32_t *first_columns, const float *column_weights, int column_taps,
                     float *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            start(y, 0, out.channels);
            for (int i = 0; i < row_taps; i++)
                for (int j = 0; j < column_taps; j++) {
                    const int place = (first_rows[row] + i) * in.width + first_columns[column] + j;
                    const float *pixel = x + place * in.channels;
                    const float weight = row_weights[row * row_taps + i] * column_weights[column * column_taps + j];
                    for (int k = 0; k < out.channels; k++)
                        y[k] += weight * pixel[k];
                }
        }
}

/* Copies rows of numbers; the steps are those from one row to the next. */
static void copy_rows(const float *restrict x, int x_step, float *restrict y, int y_step, int rows, int length)
{
    for (int row = 0; row < rows; row++, x += x_step, y += y_step)
        memcpy(y, x, (size_t)length * sizeof *y);
}

/* Matrices (rows, columns) with both axes swapped. */
static void swap_last(const float *restrict x, int count, int rows, int columns, float *restrict y)
{
    for (; count > 0; count--, x += rows * columns)
        for (int column = 0; column < columns; column++)
            for (int row = 0; row < rows; row++)
                *y++ = x[row * columns + column];
}

/* Normalization of rows; without gamma or beta these are 1 and 0. x and y may be the same. */
static void layer_normalization(const float *x, int rows, int count, const float *gamma, const float *beta,
                                float epsilon, float *y)
{
    for (int row = 0; row < rows; row++, x += count, y += count) {
        float mean = 0.0f, squares = 0.0f;
        for (int k = 0; k < count; k++)
            mean += x[k];
        mean /= (float)count;
        for (int k = 0; k < count; k++)
            squares += (x[k] - mean) * (x[k] - mean);
        squares = sqrtf(squares / (float)count + epsilon);
        for (int k = 0; k < count; k++)
            y[k] = (x[k] - mean) / squares * (gamma ? gamma[k] : 1.0f) + (beta ? beta[k] : 0.0f);
    }
}

/* Division of rows by their root mean square. */
static void rms_normalization(const float *x, int rows, int count, const float *gamma, const float *beta, float epsilon,
                              float *y)
{
    for (int row = 0; row < rows; row++, x += count, y += count) {
        float squares = 0.0f;
        for (int k = 0; k < count; k++)
            squares += x[k] * x[k];
        squares = sqrtf(squares / (float)count + epsilon);
        for (int k = 0; k < count; k++)
            y[k] = x[k] / squares * (gamma ? gamma[k] : 1.0f) + (beta ? beta[k] : 0.0f);
    }
}

/* Normalization of groups of channels of an image. */
static void group_normalization(const float *x, int pixels, int channels, int groups, const float *gamma,
                                const float *beta, float epsilon, float *y)
{
    const int size = channels / groups;
    for (int group = 0; group < groups; group++) {
        const float count = (float)pixels * (float)size;
        float mean = 0.0f, squares = 0.0f;
        for (int pixel = 0; pixel < pixels; pixel++)
            for (int k = group * size; k < (group + 1) * size; k++)
                mean += x[pixel * channels + k];
        mean /= count;
        for (int pixel = 0; pixel < pixels; pixel++)
            for (int k = group * size; k < (group + 1) * size; k++)
                squares += (x[pixel * channels + k] - mean) * (x[pixel * channels + k] - mean);
        squares = sqrtf(squares / count + epsilon);
        for (int pixel = 0; pixel < pixels; pixel++)
            for (int k = group * size; k < (group + 1) * size; k++)
                y[pixel * channels + k] = (x[pixel * channels + k] - mean) / squares * (gamma ? gamma[k] : 1.0f)
                                          + (beta ? beta[k] : 0.0f);
    }
}

/* The greatest number of a row. */
static float greatest(const float *x, int count)
{
    float most = x[0];
    for (int k = 1; k < count; k++)
        most = x[k] > most ? x[k] : most;
    return most;
}

/* Probabilities of each row, with a sum of 1. x and y may be the same. */
static void softmax(const float *x, int rows, int count, float *y)
{
    for (int row = 0; row < rows; row++, x += count, y += count) {
        const float most = greatest(x, count);
        float sum = 0.0f;
        for (int k = 0; k < count; k++)
            sum += y[k] = expf(x[k] - most);
        for (int k = 0; k < count; k++)
            y[k] /= sum;
    }
}

static void log_softmax(const float *x, int rows, int count, float *y)
{
    for (int row = 0; row < rows; row++, x += count, y += count) {
        const float most = greatest(x, count);
        float sum = 0.0f;
        for (int k = 0; k < count; k++)
            sum += expf(x[k] - most);
        for (int k = 0; k < count; k++)
            y[k] = x[k] - most - logf(sum);
    }
}

/* The nearest probabilities (Martins, Astudillo 2016): x - level where that is positive. The level is raised until it
   no longer leaves out numbers (Michelot 1986). */
static void sparsemax(const float *x, int rows, int count, float *y)
{
    for (int row = 0; row < rows; row++, x += count, y += count) {
        const float most = greatest(x, count);
        float level = -INFINITY;
        for (int more = 1, before = -1; more != before;) {
            float sum = 0.0f;
            before = more;
            more = 0;
            for (int k = 0; k < count; k++)
                if (x[k] - most > level) {
                    sum += x[k] - most;
                    more++;
                }
            level = (sum - 1.0f) / (float)more;
        }
        for (int k = 0; k < count; k++)
            y[k] = x[k] - most > level ? x[k] - most - level : 0.0f;
    }
}

static float relu(float x)
{
    return x <= 0.0f ? 0.0f : x;
}

static float relu6(float x)
{
    return x >= 6.0f ? 6.0f : relu(x);
}

static float clipped_relu(float x, float most, float slope, float threshold)
{
    if (x > threshold)
        return x < most ? x : most;
    return slope > 0.0f ? (x - threshold) * slope : 0.0f;
}

static float leaky_relu(float x, float slope)
{
    return x <= 0.0f ? x * slope : x;
}

static float elu(float x, float alpha)
{
    return x <= 0.0f ? alpha * expm1f(x) : x;
}

static float celu(float x, float alpha)
{
    return x <= 0.0f ? alpha * expm1f(x / alpha) : x;
}

static float selu(float x)
{
    return 1.0507009873554805f * elu(x, 1.6732632423543772f);
}

static float sigmoid(float x)
{
    const float e = expf(-fabsf(x));
    return (x >= 0.0f ? 1.0f : e) / (1.0f + e);
}

/* x times the distribution function of the normal distribution. */
static float gelu(float x)
{
    return 0.5f * x * erfcf(-0.7071067811865476f * x);
}

static float gelu_tanh(float x)
{
    return x * sigmoid(x * (1.5957691216057308f + 0.07135481627260025f * x * x));
}

static float hard_sigmoid(float x)
{
    return relu6(x + 3.0f) / 6.0f;
}

static float silu(float x)
{
    return x * sigmoid(x);
}

static float hard_silu(float x)
{
    return x * hard_sigmoid(x);
}

static float softplus(float x)
{
    return relu(x) + log1pf(expf(-fabsf(x)));
}

static float log_sigmoid(float x)
{
    return -softplus(-x);
}

static float mish(float x)
{
    return x * tanhf(softplus(x));
}

static float squareplus(float x, float b)
{
    const float root = sqrtf(x * x + b);
    return 0.5f * (x < 0.0f ? b / (root - x) : root + x);
}

static float softsign(float x)
{
    return x / (1.0f + fabsf(x));
}

static float sparse_plus(float x)
{
    const float half = relu(0.5f * (x + 1.0f));
    return x >= 1.0f ? x : half * half;
}

static float hard_tanh(float x)
{
    return x > 1.0f ? 1.0f : x < -1.0f ? -1.0f : x;
}

static float sparse_sigmoid(float x)
{
    return 0.5f * (hard_tanh(x) + 1.0f);
}

static float hard_shrink(float x, float threshold)
{
    return fabsf(x) <= threshold ? 0.0f : x;
}

static float soft_shrink(float x, float threshold)
{
    return copysignf(relu(fabsf(x) - threshold), x);
}

static float tanh_shrink(float x)
{
    return x - tanhf(x);
}

static float threshold(float x, float least, float value)
{
    return x <= least ? value : x;
}

static float larger(float a, float b)
{
    return a >= b ? a : b;
}

static float smaller(float a, float b)
{
    return a <= b ? a : b;
}

/* The place of the greatest of some numbers. */
static int place_of_greatest(const float *x, int count)
{
    int place = 0;
    for (int k = 1; k < count; k++)
        place = x[k] > x[place] ? k : place;
    return place;
}

/* The nearest number from -128 to 127. */
static int8_t saturated(int64_t x)
{
    return (int8_t)(x < -128 ? -128 : x > 127 ? 127 : x);
}

/* x / 2^shift, rounded; halves are rounded away from 0. */
static int64_t rounded(int64_t x, int shift)
{
    const int64_t half = (int64_t)1 << (shift - 1);
    return x < 0 ? -((half - x) >> shift) : (half + x) >> shift;
}

/* x in int8: x / scale + zero, rounded. */
static int8_t as_int8(float x, float scale, int zero)
{
    const float q = rintf(x / scale) + (float)zero;
    return (int8_t)(q > 127.0f ? 127.0f : q > -128.0f ? q : -128.0f);
}

static void to_int8(const float *x, int8_t *y, int count, float scale, int zero)
{
    for (int k = 0; k < count; k++)
        y[k] = as_int8(x[k], scale, zero);
}

static void to_float(const int8_t *x, float *y, int count, float scale, int zero)
{
    for (int k = 0; k < count; k++)
        y[k] = (float)(x[k] - zero) * scale;
}

/* Sums become int8 by a factor for each filter, multiplier / 2^shift. */
static void scaled(const int32_t *sums, const int32_t *multipliers, const uint8_t *shifts, int8_t *y, int y_zero,
                   int count)
{
    for (int f = 0; f < count; f++)
        y[f] = saturated(rounded((int64_t)sums[f] * multipliers[f], shifts[f]) + y_zero);
}

/* Convolution of groups of channels, of up to 32 filters at a time. The kernel is (height, width, channels / groups,
   filters). */
static void conv2d_int8(const int8_t *restrict x, Image in, int x_zero, const int8_t *restrict kernel,
                        const int32_t *bias, Window w, int groups, const int32_t *multipliers, const uint8_t *shifts,
                        int8_t *restrict y, Image out, int y_zero)
{
    const int channels = in.channels / groups, filters = out.channels / groups;
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels)
            for (int first = 0, count; first < out.channels; first += count) {
                const int group = first / filters, rest = (group + 1) * filters - first;
                int32_t sums[32];
                count = rest < 32 ? rest : 32;
                memcpy(sums, bias + first, (size_t)count * sizeof *sums);
                for (int i = 0; i < w.size[0]; i++)
                    for (int j = 0; j < w.size[1]; j++) {
                        const int8_t *weights = kernel + (i * w.size[1] + j) * channels * out.channels + first;
                        const int pixel = met(in, w, row, column, i, j);
                        for (int k = 0; pixel >= 0 && k < channels; k++, weights += out.channels) {
                            const int value = x[pixel + group * channels + k] - x_zero;
                            for (int f = 0; f < count; f++)
                                sums[f] += value * weights[f];
                        }
                    }
                scaled(sums, multipliers + first, shifts + first, y + first, y_zero, count);
            }
}

/* Convolution of each channel by itself, of up to 32 channels at a time. The kernel is (height, width, channels). */
static void depthwise_conv2d_int8(const int8_t *restrict x, Image in, int x_zero, const int8_t *restrict kernel,
                                  const int32_t *bias, Window w, const int32_t *multipliers, const uint8_t *shifts,
                                  int8_t *restrict y, Image out, int y_zero)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels)
            for (int first = 0; first < out.channels; first += 32) {
                const int count = out.channels - first < 32 ? out.channels - first : 32;
                const int8_t *weights = kernel + first;
                int32_t sums[32];
                memcpy(sums, bias + first, (size_t)count * sizeof *sums);
                for (int i = 0; i < w.size[0]; i++)
                    for (int j = 0; j < w.size[1]; j++, weights += out.channels) {
                        const int pixel = met(in, w, row, column, i, j);
                        for (int k = 0; pixel >= 0 && k < count; k++)
                            sums[k] += (x[pixel + first + k] - x_zero) * weights[k];
                    }
                scaled(sums, multipliers + first, shifts + first, y + first, y_zero, count);
            }
}

/* The maximum of each window; padding does not count. */
static void max_pool2d_int8(const int8_t *restrict x, Image in, Window w, int8_t *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++, y += out.channels) {
            memset(y, -128, (size_t)out.channels);
            for (int i = 0; i < w.size[0]; i++)
                for (int j = 0; j < w.size[1]; j++) {
                    const int pixel = met(in, w, row, column, i, j);
                    for (int k = 0; pixel >= 0 && k < out.channels; k++)
                        y[k] = x[pixel + k] > y[k] ? x[pixel + k] : y[k];
                }
        }
}

/* The rounded mean of each window; padding does not count. */
static void average_pool2d_int8(const int8_t *restrict x, Image in, Window w, int8_t *restrict y, Image out)
{
    for (int row = 0; row < out.height; row++)
        for (int column = 0; column < out.width; column++)
            for (int k = 0; k < out.channels; k++) {
                int32_t sum = 0, count = 0;
                for (int i = 0; i < w.size[0]; i++)
                    for (int j = 0; j < w.size[1]; j++) {
                        const int pixel = met(in, w, row, column, i, j);
                        sum += pixel >= 0 ? x[pixel + k] : 0;
                        count += pixel >= 0;
                    }
                *y++ = (int8_t)((sum < 0 ? sum - count / 2 : sum + count / 2) / count);
            }
}

/* The sum of two numbers, each multiplied by a factor: multiplier / 2^shift. */
static void add_int8(const int8_t *a, int a_zero, int32_t a_multiplier, const int8_t *b, int b_zero,
                     int32_t b_multiplier, int shift, int8_t *y, int y_zero, int count)
{
    for (int k = 0; k < count; k++) {
        const int64_t sum = (int64_t)(a[k] - a_zero) * a_multiplier + (int64_t)(b[k] - b_zero) * b_multiplier;
        y[k] = saturated(rounded(sum, shift) + y_zero);
    }
}

/* What a table has for each number of rows; the steps are those from one row to the next. */
static void look_up(const int8_t *x, int x_step, int8_t *y, int y_step, int rows, int length, const int8_t *table)
{
    for (int row = 0; row < rows; row++, x += x_step, y += y_step)
        for (int k = 0; k < length; k++)
            y[k] = table[x[k] + 128];
}
