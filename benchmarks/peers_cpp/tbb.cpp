// oneTBB: two threads, the calling one included. Trees through `task_group`, and through
// `parallel_invoke` where there are two branches; loops through `parallel_for`; graphs through
// `flow::graph`, and by hand, where a node that finishes runs what it made ready in a task group.

#include <tbb/flow_graph.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <memory>

#include "sampler.hpp"
#include "work.hpp"

namespace
{

using bench::Outcome;
using bench::Sampler;
using tbb::flow::continue_msg;
using ContinueNode = tbb::flow::continue_node<continue_msg>;

Outcome empty(const Sampler &sampler)
{
    work::Bytes bytes;
    uint8_t round = 0;
    Outcome outcome = sampler.time(work::kMillion, [&] {
        round++;
        tbb::task_group group;
        for (uint8_t &slot : bytes.slots) {
            group.run([&slot, round] { slot = round; });
        }
        group.wait();
    });
    outcome.checksum = bytes.count(round);
    return outcome;
}

// A flow graph of counters, all nodes of a layer before all of the next.
struct FlowDag {
    tbb::flow::graph graph;
    std::vector<work::Counter> counters = std::vector<work::Counter>(work::kNodes);
    std::vector<std::unique_ptr<ContinueNode>> nodes;
    tbb::flow::broadcast_node<continue_msg> start{graph};

    FlowDag()
    {
        for (work::Counter &counter : counters) {
            const auto body = [&counter](const continue_msg &message) {
                counter.add();
                return message;
            };
            nodes.push_back(std::make_unique<ContinueNode>(graph, body));
        }
        for (size_t index = 0; index < work::kWidth; index++) {
            tbb::flow::make_edge(start, *nodes[index]);
        }
        for (size_t index = work::kWidth; index < work::kNodes; index++) {
            const size_t before = (index / work::kWidth - 1) * work::kWidth;
            for (size_t i = before; i < before + work::kWidth; i++) {
                tbb::flow::make_edge(*nodes[i], *nodes[index]);
            }
        }
    }
};

Outcome dag(const Sampler &sampler)
{
    FlowDag flow;
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(work::kNodes, [&] {
        rounds++;
        flow.start.try_put(continue_msg());
        flow.graph.wait_for_all();
    });
    outcome.checksum = work::count_runs(flow.counters, rounds);
    return outcome;
}

void run_node(work::Dag &graph, tbb::task_group &group, size_t index)
{
    graph.execute(index, [&](size_t ready) {
        group.run([&graph, &group, ready] { run_node(graph, group, ready); });
    });
}

Outcome dag_by_hand(const Sampler &sampler)
{
    work::Dag graph;
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(work::kNodes, [&] {
        rounds++;
        tbb::task_group group;
        for (size_t index = 0; index < work::kWidth; index++) {
            group.run([&graph, &group, index] { run_node(graph, group, index); });
        }
        group.wait();
    });
    outcome.checksum = graph.count(rounds);
    return outcome;
}

uint64_t fib_group(uint32_t n)
{
    if (n < 2) {
        return n;
    }
    uint64_t spawned = 0;
    tbb::task_group group;
    group.run([&spawned, n] { spawned = fib_group(n - 1); });
    const uint64_t called = fib_group(n - 2);
    group.wait();
    return called + spawned;
}

uint64_t fib_invoke(uint32_t n)
{
    if (n < 2) {
        return n;
    }
    uint64_t spawned = 0;
    uint64_t called = 0;
    tbb::parallel_invoke([&called, n] { called = fib_invoke(n - 2); },
                         [&spawned, n] { spawned = fib_invoke(n - 1); });
    return called + spawned;
}

Outcome fib(const Sampler &sampler, uint64_t (*compute)(uint32_t))
{
    uint64_t result = 0;
    Outcome outcome = sampler.time(work::kFibSpawns, [&] { result = compute(work::kFib); });
    outcome.checksum = result;
    return outcome;
}

uint64_t skynet_node(uint64_t first, uint64_t size)
{
    if (size == 1) {
        return first;
    }
    const uint64_t part = size / work::kSkynetChildren;
    std::array<uint64_t, work::kSkynetChildren> sums{};
    tbb::task_group group;
    for (uint64_t child = 0; child < work::kSkynetChildren; child++) {
        group.run(
            [&sums, child, first, part] { sums[child] = skynet_node(first + child * part, part); });
    }
    group.wait();
    return work::sum_of(sums);
}

Outcome skynet(const Sampler &sampler)
{
    uint64_t result = 0;
    Outcome outcome =
        sampler.time(work::kSkynetSpawns, [&] { result = skynet_node(0, work::kMillion); });
    outcome.checksum = result;
    return outcome;
}

template <class Partitioner>
Outcome parallel_for(const Sampler &sampler, const Partitioner &partitioner)
{
    using Range = tbb::blocked_range<size_t>;
    work::Bytes bytes;
    uint8_t round = 0;
    Outcome outcome = sampler.time(work::kMillion, [&] {
        round++;
        const auto body = [slots = bytes.slots.data(), round](const Range &range) {
            for (size_t i = range.begin(); i != range.end(); i++) {
                slots[i] = round;
            }
        };
        tbb::parallel_for(Range(0, work::kMillion, 1), body, partitioner);
    });
    outcome.checksum = bytes.count(round);
    return outcome;
}

// The small graph as a flow graph: one, two side by side, one.
Outcome launch(const Sampler &sampler)
{
    std::array<work::Counter, work::kLaunchNodes> counters;
    tbb::flow::graph graph;
    std::vector<std::unique_ptr<ContinueNode>> nodes;
    for (work::Counter &counter : counters) {
        nodes.push_back(std::make_unique<ContinueNode>(graph, [&counter](continue_msg message) {
            counter.add();
            return message;
        }));
    }
    for (const size_t middle : {1, 2}) {
        tbb::flow::make_edge(*nodes[0], *nodes[middle]);
        tbb::flow::make_edge(*nodes[middle], *nodes[3]);
    }
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(1, [&] {
        rounds++;
        nodes[0]->try_put(continue_msg());
        graph.wait_for_all();
    });
    outcome.checksum = work::count_runs(counters, rounds);
    return outcome;
}

// The small graph as calls and one fork: what a program without a graph object would write.
Outcome launch_invoke(const Sampler &sampler)
{
    std::array<work::Counter, work::kLaunchNodes> counters;
    uint64_t rounds = 0;
    Outcome outcome = sampler.time(1, [&] {
        rounds++;
        counters[0].add();
        tbb::parallel_invoke([&] { counters[1].add(); }, [&] { counters[2].add(); });
        counters[3].add();
    });
    outcome.checksum = work::count_runs(counters, rounds);
    return outcome;
}

uint64_t queens(const work::Board &board)
{
    if (board.is_full()) {
        return 1;
    }
    std::array<uint64_t, work::kQueens> sums{};
    size_t count = 0;
    tbb::task_group group;
    board.each_child([&](const work::Board &child) {
        uint64_t &sum = sums[count++];
        group.run([&sum, child] { sum = queens(child); });
    });
    group.wait();
    return work::sum_of(sums);
}

Outcome nqueens(const Sampler &sampler)
{
    uint64_t result = 0;
    Outcome outcome = sampler.time(work::kQueensSpawns, [&] { result = queens(work::Board{}); });
    outcome.checksum = result;
    return outcome;
}

} // namespace

int main(int argc, char **argv)
{
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, work::kWorkers);
    const std::map<std::string, bench::Workload> workloads = {
        {"empty", empty},
        {"dag", dag},
        {"dag_by_hand", dag_by_hand},
        {"fib", [](const Sampler &sampler) { return fib(sampler, fib_group); }},
        {"fib_invoke", [](const Sampler &sampler) { return fib(sampler, fib_invoke); }},
        {"skynet", skynet},
        {"parallel_for_1",
         [](const Sampler &sampler) { return parallel_for(sampler, tbb::simple_partitioner()); }},
        {"parallel_for_auto",
         [](const Sampler &sampler) { return parallel_for(sampler, tbb::auto_partitioner()); }},
        {"launch", launch},
        {"launch_invoke", launch_invoke},
        {"nqueens", nqueens},
    };
    // Inside an arena of two from the start, so that no sample pays for entering one.
    tbb::task_arena arena(work::kWorkers);
    return arena.execute([&] { return bench::run_main("oneTBB", workloads, argc, argv); });
}
