#pragma once

#include <cstddef>
#include <cstdint>

#include "lanes.hpp"
#include "optimizer.hpp"

namespace pellucid {

// What a step computes; the names are those of the layers. A linear layer is a convolution of 1×1 maps.
enum class Op : int {
    kConv,
    kMaxPool,
    kAvgPool,
    kActivation,
    kFlatten,
    kDropout,
    kLPPool,
    kSoftmax,
    kResponseNorm,
    kBatchNorm,
    kAdd,
    kPadChannels
};

enum class Activation : int { kNone, kReLU, kLeakyReLU, kELU, kSigmoid, kTanh };

enum class Loss : int { kCrossEntropy, kLogLoss, kSquaredError };

// A value of the network for one block of 16 samples: [channels][height][width + 2·border] lanes, the border zero.
// Several may lie in one another: the parts of a concatenation, the δ of a sum and of what is summed.
struct Slot {
    int channels, height, width, border;
    // Where value and ∂J/∂value begin in a block's arena, in lanes; −1: there is none, as of a batch norm's output that
    // its reader makes, kernels/norm_before.hpp.
    std::ptrdiff_t value, delta;
    bool reused = false;  // their places hold other numbers in between: who writes first clears the border

    int pitch() const { return width + 2 * border; }
    std::ptrdiff_t plane() const { return static_cast<std::ptrdiff_t>(height) * pitch(); }
};

// A sliding window: output l reads the inputs stride·l + dilation·j − before, j = 0 … kernel − 1.
struct Axis {
    int kernel, stride, dilation, before;
};

// What becomes of the δ of a step's second input.
enum class Addend : int { kNone, kSame, kAdd };  // kSame: it lies where the output's δ lies

struct Step {
    Op op;
    int input, output;  // slots
    Axis rows, columns;
    int groups;
    bool flip;                    // the filter is turned by 180°: a true convolution
    std::ptrdiff_t weight, bias;  // where they begin among the parameters; −1 for none
    Activation activation;        // applied to the output in place
    float alpha;                  // slope of the leaky ReLU, scale of the ELU
    const float* scale;           // average pooling: 1/divisor of every output pixel
    bool column_major;            // flatten: each map column by column
    bool needs_dx;                // false where nothing before it learns
    bool adds;                    // dx is added to what another step has put into its input's δ
    std::ptrdiff_t scratch;  // in the arena: max pooling's winners, response norm's s, Winograd's tiles of δ and sums
    std::ptrdiff_t packed;   // convolution: where its packed weights begin, forward; those for dx follow
    int tile;                // convolution: forward and dx by F(4×4, 3×3) or F(4×4, 5×5), 3 or 5; 0: the direct way
    int weights_tile;        // the same of the weight gradient

    double p;      // dropout: probability that an entry is dropped; LP pooling: of the p-norm
    int position;  // dropout: of the layer in the graph
    int size;      // response norm: s = k + share·Σ x² over so many channels, y = x·s^(−beta)
    float k, share;
    double beta;

    int addend = -1;       // sum, batch norm: the slot that is added to the output before the activation; −1: none
    Addend addend_back;    // and its way back
    bool per_pixel;        // batch norm: a statistic for every pixel of a map, not one for the map
    std::ptrdiff_t norm;   // where its statistics begin among those of all steps
    std::ptrdiff_t state;  // where its running mean begins; running variance and number of batches follow
    double eps, momentum;  // a negative momentum: the mean over all batches

    std::ptrdiff_t kept = -1;    // linear layer: where x and δ of all samples begin, lanes a block; −1 for none
    std::ptrdiff_t skipped = 0;  // of the parameters before its own, so many are in no block's set of gradients

    int winograd() const { return tile ? tile : weights_tile; }  // the kernel of its tiles, whatever they are for
};

// Whether a convolution has one tap, and reads nothing but pixels: it takes its weights as they lie,
// kernels/pointwise.hpp.
static inline bool is_pointwise(const Step& step, const Slot& in, const Slot& out) {
    const auto one_tap = [](const Axis& axis, int length, int outputs) {
        return axis.kernel == 1 && axis.before == 0 && (length - 1) / axis.stride >= outputs - 1;
    };
    return step.op == Op::kConv && step.groups == 1 && one_tap(step.rows, in.height, out.height) &&
           one_tap(step.columns, in.width, out.width);
}

// Whether a step multiplies a vector by a matrix: a convolution of one tap over maps of one pixel.
static inline bool is_linear(const Step& step, const Slot& in, const Slot& out) {
    return is_pointwise(step, in, out) && in.height * in.width == 1 && out.height * out.width == 1;
}

// How many statistics a batch norm has, and γ and β.
static inline std::ptrdiff_t statistics(const Slot& slot, const Step& step) {
    return step.per_pixel ? std::ptrdiff_t{slot.channels} * slot.height * slot.width : slot.channels;
}

// Lanes a block that x takes, out of the lanes, in tiles of 64 channels; and with its δ.
static constexpr std::ptrdiff_t kept_channels(std::ptrdiff_t channels) { return (channels + 63) / 64 * 64; }
static constexpr std::ptrdiff_t kept_lanes(std::ptrdiff_t channels, std::ptrdiff_t filters) {
    return kept_channels(channels) + filters;
}

// Parameters [from, to), whose gradients lie in a block's set from `place` on.
struct Stretch {
    std::ptrdiff_t from, to, place;
};

struct Program {
    const Slot* slots;
    const Step* steps;
    int step_count;
    int input, output;  // slots
    Loss loss;
    std::ptrdiff_t arena;          // lanes that one block takes
    std::ptrdiff_t parameters;     // floats
    std::ptrdiff_t packed;         // floats of all packed weights, those of convolutions by points last
    std::ptrdiff_t scratch;        // lanes that one thread needs besides
    std::ptrdiff_t norms = 0;      // statistics of all batch norms: training goes from one to the next with all blocks
    std::ptrdiff_t state = 0;      // floats that the layers remember between batches
    bool wide = false;             // many parameters: one set of gradients, and every block is shared by all threads
    std::ptrdiff_t by_points = 0;  // where the packed weights of convolutions by points begin
    std::ptrdiff_t in_turn = 0;    // floats of them all where these take the same place in turn

    // See plan_gradients.
    std::ptrdiff_t kept = 0;      // lanes a block that linear layers keep of its samples
    std::ptrdiff_t of_block = 0;  // floats of a block's set of gradients
    const Stretch* stretches = nullptr;
    int stretch_count = 0;
};

// What happens to the images on the way in; pellucid/augmentation.py has the equations.
struct Augmentation {
    int padding = 0;  // pixels by which a crop is moved at most
    bool flip = false;
    int cutout = 0;  // side of the square that is blanked

    bool any() const { return padding > 0 || flip || cutout > 0; }
};

// One batch, and where its results go. Samples are gathered by `rows` from images and targets of the whole data set;
// or, where that does not fit into memory, `images` holds those of the batch alone, in its order.
struct Batch {
    const void* images;  // (N, C, H, W) bytes, divided by 255 on the way in, or floats
    bool bytes;
    const float* mean;         // of one sample, taken off; may be null
    const std::int64_t* rows;  // (count)
    int count;
    const float* target;  // (N, K); null for prediction
    const float* weight;  // (count): w_t / Σ w
    const float* params;
    float* gradients;  // as params; null for prediction; an update leaves the old parameters here
    float* outputs;    // (count, K): the last layer's output, before the loss's activation
    double loss;       // Σ weight·ℓ, with penalties if there is an update
    int threads;
    std::uint64_t seed, step;  // of the network: what dropout draws
    bool training;             // dropout drops
    float* state;              // running statistics; training moves them on
    Update* update;            // done once the gradients are complete; null for none
    bool activated = false;    // outputs after the loss's activation: predictions
    Augmentation augmentation = {};
    bool own_images = false;  // of the batch alone

    std::int64_t image(int sample) const { return own_images ? sample : rows[sample]; }
};

// Whether all samples take one step before any takes the next: then the loss is known before the way back begins.
static inline bool goes_step_by_step(const Program& program, const Batch& batch) {
    return batch.count <= kLanes || (program.norms > 0 && batch.training);
}

// Whether the convolutions by points pack their weights when they are about to need them, all in the same place.
static inline bool packs_in_turn(const Program& program, const Batch& batch) {
    return program.wide && goes_step_by_step(program, batch);
}

// Whether the gradients are written where they are wanted; else every block, or all together, has a set of its own.
static inline bool has_gradients_in_place(const Program& program, const Batch& batch) {
    return (program.wide || batch.count <= kLanes) && goes_step_by_step(program, batch);
}

// What a convolution computes in one go; its weights are packed once a batch, if at all, for forward and dx together.
enum class Pass : int { kForward, kDx, kDweight, kPack };

// What one block knows about the values of a statistic: their mean and Σ(x − mean)²; on the way back Σδ and Σδ·x̂.
struct Moments {
    float first, second;
};

// A statistic of the whole batch, with 1/√(variance + ε), Σδ/m and Σδ·x̂/m.
struct Norm {
    float mean, inverse, delta, product;
};

// Buffers that one network keeps from batch to batch.
struct Workspace {
    void* const* arenas;   // lanes, one arena a thread; in training with batch norm, one a block
    void* const* scratch;  // lanes, one a thread; the first of them stay zero
    float* packed;
    float* gradients;  // one set a block, or one for all; none where they are written in place
    double* losses;    // one a block
    ChunkSums* chunks;
    Moments* moments;  // one set of all statistics a block
    Norm* norms;
    lanes* kept;  // what linear layers keep of all samples
};

// Where a value lies if one sample's channels are the lanes: [height][width + 2·border][pixel] floats.
struct ChannelSlot {
    std::ptrdiff_t value;  // in the arena, in lanes
    int pixel;             // floats from one pixel to the next
};

// What a network needs for such a sample; see few_samples.hpp.
struct ChannelMemory {
    const ChannelSlot* slots;
    const std::ptrdiff_t* weights;  // where each step's packed weights begin, in lanes
    lanes* arena;
    lanes* packed;
};

// The same code, compiled once for every instruction set. What crosses this border is plain data: a template of the
// standard library compiled for a wider set must never be linked into the code for a narrower one.
struct Engine {
    const char* name;
    void (*run)(const Program&, const Workspace&, Batch&);
    void (*run_few)(const Program&, const ChannelMemory&, Batch&, int threads);
    void (*pack_few)(const Program&, const ChannelMemory&, const float* params);
    // For the benchmarks; see isa/measure.hpp.
    int (*repeat)(const Program&, const Workspace&, const Step&, Pass, const float* params, int repetitions,
                  int threads);
    double (*multiply_adds)(long rounds, int threads, float* sum);
};

const Engine* find_engine(const char* name);  // null if this build or this processor has none of that name
const char* instruction_set();                // the widest one this processor runs

}  // namespace pellucid
