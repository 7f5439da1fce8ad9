// What the workloads do, the same in every language, and the traces by which they show they did:
// benchmarks/peers_tasks/src/work.rs in C++.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace work
{

inline constexpr int kWorkers = 2;
inline constexpr size_t kMillion = 1000000;
inline constexpr size_t kLayers = 333;
inline constexpr size_t kWidth = 3;
inline constexpr size_t kNodes = kLayers * kWidth;
inline constexpr uint32_t kFib = 27;
inline constexpr uint64_t kFibSpawns = 317810;
inline constexpr uint64_t kSkynetChildren = 10;
inline constexpr uint64_t kSkynetSpawns = 1111110;
inline constexpr uint32_t kQueens = 11;
inline constexpr uint64_t kQueensSpawns = 166925;
inline constexpr size_t kLaunchNodes = 4;

// One byte for each task; each task writes its own, through a pointer the compiler knows nothing
// of.
struct Bytes {
    std::vector<uint8_t> slots = std::vector<uint8_t>(kMillion);

    uint64_t count(uint8_t round) const
    {
        return static_cast<uint64_t>(std::count(slots.begin(), slots.end(), round));
    }
};

// A count of its own cache line, added to by one thread at a time.
struct alignas(64) Counter {
    uint64_t value = 0;

    void add()
    {
        value++;
    }
};

template <class Counters> uint64_t count_runs(const Counters &counters, uint64_t rounds)
{
    const auto ran = [&](const Counter &counter) { return counter.value == rounds; };
    return static_cast<uint64_t>(std::count_if(std::begin(counters), std::end(counters), ran));
}

// A node of the graph, for schedulers whose graphs are built by hand: it runs when nothing is
// pending.
struct alignas(64) Node {
    uint64_t count = 0;
    std::atomic<uint32_t> pending{0};
    uint32_t waits_for = 0;
    uint32_t first_successor = 0;
    uint32_t successor_count = 0;
};

// The graph of 333 layers, built once: every node waits for all of the layer before.
struct Dag {
    std::vector<Node> nodes = std::vector<Node>(kNodes);

    Dag()
    {
        for (size_t index = 0; index < kNodes; index++) {
            const size_t layer = index / kWidth;
            Node &node = nodes[index];
            node.waits_for = layer == 0 ? 0 : kWidth;
            node.pending.store(node.waits_for, std::memory_order_relaxed);
            node.first_successor = static_cast<uint32_t>((layer + 1) * kWidth);
            node.successor_count = layer + 1 < kLayers ? kWidth : 0;
        }
    }

    // Runs a node and gives each successor that now waits for nothing to `spawn`. The node itself
    // is made ready for the next round: by then everything that it waits for has yet to run.
    template <class Spawn> void execute(size_t index, Spawn &&spawn)
    {
        Node &node = nodes[index];
        node.count++;
        node.pending.store(node.waits_for, std::memory_order_relaxed);
        for (uint32_t i = 0; i < node.successor_count; i++) {
            const uint32_t successor = node.first_successor + i;
            // Releases this node's work to the successor, acquires that of the others.
            if (nodes[successor].pending.fetch_sub(1, std::memory_order_acq_rel) == 1) {
                spawn(successor);
            }
        }
    }

    uint64_t count(uint64_t rounds) const
    {
        const auto ran = [&](const Node &node) { return node.count == rounds; };
        return static_cast<uint64_t>(std::count_if(nodes.begin(), nodes.end(), ran));
    }
};

// A board with some queens on it: the columns and the diagonals that are taken.
struct Board {
    uint32_t columns = 0;
    uint32_t left = 0;
    uint32_t right = 0;

    bool is_full() const
    {
        return columns == (1U << kQueens) - 1;
    }

    // Calls `visit` with each board that has one queen more, in the next row.
    template <class Visit> void each_child(Visit &&visit) const
    {
        const uint32_t free = ((1U << kQueens) - 1) & ~(columns | left | right);
        for (uint32_t column = 0; column < kQueens; column++) {
            const uint32_t queen = 1U << column;
            if ((free & queen) != 0) {
                visit(Board{columns | queen, (left | queen) << 1, (right | queen) >> 1});
            }
        }
    }
};

// Sums of the children of one node, each written by the task that computes it.
template <size_t Size> uint64_t sum_of(const std::array<uint64_t, Size> &sums)
{
    uint64_t total = 0;
    for (const uint64_t sum : sums) {
        total += sum;
    }
    return total;
}

} // namespace work
