/* Tasks on a team of two workers: the workloads of benchmarks/peers_tasks/src/work.rs through jobs,
 * dags and the interface of foliot/parallel.h, driven by the caller of the team.
 */
#include "exec/dag.h"
#include "exec/parallel.h"
#include "exec/pool.h"
#include "exec/team.h"
#include "exec_sampler.h"

#define WORKERS         2
#define MILLION         1000000
#define LAYERS          333
#define WIDTH           3
#define NODES           (LAYERS * WIDTH)
#define EDGES           ((LAYERS - 1) * WIDTH * WIDTH)
#define FIB             27
#define FIB_SPAWNS      317810
#define SKYNET_CHILDREN 10
#define SKYNET_SPAWNS   1111110
#define QUEENS          11
#define QUEENS_SPAWNS   166925
#define ALL_COLUMNS     ((1u << QUEENS) - 1)
#define LAUNCH_NODES    4
#define LAUNCH_EDGES    4

static const fol_parallel_api *const api = &fol_parallel_on_team;

typedef struct crew {
    fol_pool *pool;
    fol_team *team;
    fol_worker *caller;
    fol_parallel *self;
} crew;

/* One byte for each task; each task writes its own. */
static uint8_t bytes[MILLION];
static uint8_t byte_round;

/* Counts of a cache line each, added to by one worker at a time. */
typedef struct counter {
    _Alignas(64) uint64_t value;
} counter;

static counter counters[NODES];

static uint64_t count_bytes(void)
{
    uint64_t count = 0;
    for (size_t i = 0; i < MILLION; i++) {
        count += bytes[i] == byte_round;
    }
    return count;
}

static uint64_t count_runs(size_t count, uint64_t runs)
{
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        found += counters[i].value == runs;
    }
    return found;
}

/* hub: what the dags of the team will share; NULL for a team without dags. */
static int open_crew(crew *out, fol_dag_hub *hub)
{
    fol_team_config config = {.workers = WORKERS};
    int refused = 0;
    if (hub != NULL) {
        config.source = fol_dag_hub_source(hub);
    }
    int status = fol_pool_create(&out->pool);
    if (status != 0) {
        return status;
    }
    fol_pool_grow(out->pool, WORKERS - 1, &refused);
    status = refused != 0 ? refused : fol_team_create(out->pool, &config, &out->team);
    if (status != 0) {
        fol_pool_destroy(out->pool);
        return status;
    }
    out->caller = fol_team_worker(out->team, 0);
    out->self = fol_worker_parallel(out->caller);
    return 0;
}

static void close_crew(crew *self)
{
    fol_team_destroy(self->team);
    fol_pool_destroy(self->pool);
}

/* A million jobs, pushed by the caller, which then waits. */

typedef struct byte_job {
    fol_job job;
    uint8_t *slot;
} byte_job;

typedef struct job_state {
    crew crew;
    fol_latch latch;
    byte_job jobs[MILLION];
} job_state;

static job_state with_jobs;

static void run_byte_job(fol_job *job, fol_worker *worker)
{
    *((byte_job *)job)->slot = byte_round;
    fol_latch_count_down(&with_jobs.latch, fol_worker_team(worker), 1);
}

static uint64_t empty_jobs_once(void *argument)
{
    (void)argument;
    byte_round++;
    fol_latch_init(&with_jobs.latch, MILLION);
    for (size_t i = 0; i < MILLION; i++) {
        byte_job *job = &with_jobs.jobs[i];
        job->job.run = run_byte_job;
        job->slot = &bytes[i];
        if (fol_worker_push(with_jobs.crew.caller, &job->job) != 0) {
            run_byte_job(&job->job, with_jobs.crew.caller);
        }
    }
    fol_worker_wait(with_jobs.crew.caller, &with_jobs.latch);
    return 0;
}

static int run_empty_jobs(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    const int status = open_crew(&with_jobs.crew, NULL);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, MILLION, empty_jobs_once, NULL, outcome);
    *checksum = count_bytes();
    close_crew(&with_jobs.crew);
    return 0;
}

/* A million forks, joined last one first. */

static void write_byte(fol_parallel *self, void *argument)
{
    (void)self;
    *(uint8_t *)argument = byte_round;
}

static uint64_t empty_once(void *argument)
{
    static fol_branch branches[MILLION];
    fol_parallel *self = ((crew *)argument)->self;
    byte_round++;
    for (size_t i = 0; i < MILLION; i++) {
        api->fork(self, &branches[i], write_byte, &bytes[i]);
    }
    for (size_t i = MILLION; i > 0; i--) {
        api->join(self, &branches[i - 1]);
    }
    return 0;
}

static int run_empty(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    crew self;
    const int status = open_crew(&self, NULL);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, MILLION, empty_once, &self, outcome);
    *checksum = count_bytes();
    close_crew(&self);
    return 0;
}

/* Graphs, built once. */

typedef struct graph_state {
    crew crew;
    fol_dag_hub *hub;
    fol_dag *dag;
} graph_state;

static uint32_t count_node(void *state, uint32_t node, uint32_t worker)
{
    (void)state;
    (void)worker;
    counters[node].value++;
    return 0;
}

static uint64_t graph_once(void *argument)
{
    graph_state *self = argument;
    fol_dag_run(self->dag, 0);
    return 0;
}

/* A graph of one segment. */
static int time_graph(const fol_dag_graph *graph, uint64_t units, const bench_sampler *sampler,
                      bench_outcome *outcome, uint64_t *checksum)
{
    static const fol_dag_calls calls = {.begin = count_node};
    graph_state self;
    int status = fol_dag_hub_create(WORKERS, &self.hub);
    if (status != 0) {
        return status;
    }
    status = open_crew(&self.crew, self.hub);
    if (status != 0) {
        goto fail_crew;
    }
    status = fol_dag_create(self.crew.team, self.hub, graph, &calls, &self.dag);
    if (status == 0) {
        bench_time(sampler, units, graph_once, &self, outcome);
        *checksum = count_runs(graph->node_count, outcome->runs);
        fol_dag_destroy(self.dag);
    }
    close_crew(&self.crew);
fail_crew:
    fol_dag_hub_destroy(self.hub);
    return status;
}

/* Every node waits for all of the layer before. */
static int run_dag(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    static uint32_t starts[NODES + 1];
    static uint32_t successors[EDGES];
    uint32_t edge = 0;
    for (uint32_t node = 0; node < NODES; node++) {
        const uint32_t next = (node / WIDTH + 1) * WIDTH;
        for (uint32_t i = next; i < next + WIDTH && i < NODES; i++) {
            successors[edge++] = i;
        }
        starts[node + 1] = edge;
    }
    const uint32_t segment_end = NODES;
    const fol_dag_graph graph = {NODES, 1, &segment_end, starts, successors, NULL};
    return time_graph(&graph, NODES, sampler, outcome, checksum);
}

/* One, two side by side, one. */
static int run_launch(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    static const uint32_t starts[LAUNCH_NODES + 1] = {0, 2, 3, 4, 4};
    static const uint32_t successors[LAUNCH_EDGES] = {1, 2, 3, 3};
    const uint32_t segment_end = LAUNCH_NODES;
    const fol_dag_graph graph = {LAUNCH_NODES, 1, &segment_end, starts, successors, NULL};
    return time_graph(&graph, 1, sampler, outcome, checksum);
}

/* The same without a dag. */

static void count_branch(fol_parallel *self, void *argument)
{
    (void)self;
    ((counter *)argument)->value++;
}

static uint64_t launch_fork_once(void *argument)
{
    fol_parallel *self = ((crew *)argument)->self;
    fol_branch branch;
    counters[0].value++;
    api->fork(self, &branch, count_branch, &counters[1]);
    counters[2].value++;
    api->join(self, &branch);
    counters[3].value++;
    return 0;
}

static int run_launch_fork(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    crew self;
    const int status = open_crew(&self, NULL);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, 1, launch_fork_once, &self, outcome);
    *checksum = count_runs(LAUNCH_NODES, outcome->runs);
    close_crew(&self);
    return 0;
}

/* Trees. */

typedef struct fib_call {
    uint32_t n;
    uint64_t result;
} fib_call;

static uint64_t fib(fol_parallel *self, uint32_t n);

static void fib_branch(fol_parallel *self, void *argument)
{
    fib_call *call = argument;
    call->result = fib(self, call->n);
}

static uint64_t fib(fol_parallel *self, uint32_t n)
{
    if (n < 2) {
        return n;
    }
    fib_call spawned = {.n = n - 1};
    fol_branch branch;
    api->fork(self, &branch, fib_branch, &spawned);
    const uint64_t called = fib(self, n - 2);
    api->join(self, &branch);
    return called + spawned.result;
}

typedef struct skynet_call {
    uint64_t first;
    uint64_t size;
    uint64_t sum;
} skynet_call;

static void skynet(fol_parallel *self, void *argument)
{
    skynet_call *call = argument;
    if (call->size == 1) {
        call->sum = call->first;
        return;
    }
    const uint64_t part = call->size / SKYNET_CHILDREN;
    skynet_call calls[SKYNET_CHILDREN];
    fol_branch branches[SKYNET_CHILDREN];
    for (size_t i = 0; i < SKYNET_CHILDREN; i++) {
        calls[i] = (skynet_call){.first = call->first + i * part, .size = part};
        api->fork(self, &branches[i], skynet, &calls[i]);
    }
    call->sum = 0;
    for (size_t i = SKYNET_CHILDREN; i > 0; i--) {
        api->join(self, &branches[i - 1]);
        call->sum += calls[i - 1].sum;
    }
}

typedef struct board {
    uint32_t columns;
    uint32_t left;
    uint32_t right;
    uint64_t solutions;
} board;

static void place_queen(fol_parallel *self, void *argument)
{
    board *current = argument;
    if (current->columns == ALL_COLUMNS) {
        current->solutions = 1;
        return;
    }
    const uint32_t is_free = ALL_COLUMNS & ~(current->columns | current->left | current->right);
    board children[QUEENS];
    fol_branch branches[QUEENS];
    size_t count = 0;
    for (uint32_t queen = 1; queen < ALL_COLUMNS + 1; queen <<= 1) {
        if ((is_free & queen) != 0) {
            children[count] = (board){
                .columns = current->columns | queen,
                .left = (current->left | queen) << 1,
                .right = (current->right | queen) >> 1,
            };
            api->fork(self, &branches[count], place_queen, &children[count]);
            count++;
        }
    }
    current->solutions = 0;
    for (size_t i = count; i > 0; i--) {
        api->join(self, &branches[i - 1]);
        current->solutions += children[i - 1].solutions;
    }
}

typedef struct tree_state {
    crew crew;
    uint64_t result;
} tree_state;

static uint64_t fib_once(void *argument)
{
    tree_state *self = argument;
    self->result = fib(self->crew.self, FIB);
    return 0;
}

static uint64_t skynet_once(void *argument)
{
    tree_state *self = argument;
    skynet_call root = {.first = 0, .size = MILLION};
    skynet(self->crew.self, &root);
    self->result = root.sum;
    return 0;
}

static uint64_t queens_once(void *argument)
{
    tree_state *self = argument;
    board root = {0};
    place_queen(self->crew.self, &root);
    self->result = root.solutions;
    return 0;
}

static int run_tree(const bench_sampler *sampler, uint64_t units, bench_body body,
                    bench_outcome *outcome, uint64_t *checksum)
{
    tree_state self = {.result = 0};
    const int status = open_crew(&self.crew, NULL);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, units, body, &self, outcome);
    *checksum = self.result;
    close_crew(&self.crew);
    return 0;
}

static int run_fib(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run_tree(sampler, FIB_SPAWNS, fib_once, outcome, checksum);
}

static int run_skynet(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run_tree(sampler, SKYNET_SPAWNS, skynet_once, outcome, checksum);
}

static int run_queens(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run_tree(sampler, QUEENS_SPAWNS, queens_once, outcome, checksum);
}

/* Loops. */

typedef struct loop_state {
    crew crew;
    size_t grain;
} loop_state;

static int write_range(fol_parallel *self, size_t first, size_t end, void *argument)
{
    (void)self;
    uint8_t *slots = argument;
    for (size_t i = first; i < end; i++) {
        slots[i] = byte_round;
    }
    return 0;
}

static uint64_t loop_once(void *argument)
{
    loop_state *self = argument;
    byte_round++;
    (void)api->for_range(self->crew.self, MILLION, self->grain, write_range, bytes);
    return 0;
}

static int run_loop(const bench_sampler *sampler, size_t grain, bench_outcome *outcome,
                    uint64_t *checksum)
{
    loop_state self = {.grain = grain};
    const int status = open_crew(&self.crew, NULL);
    if (status != 0) {
        return status;
    }
    bench_time(sampler, MILLION, loop_once, &self, outcome);
    *checksum = count_bytes();
    close_crew(&self.crew);
    return 0;
}

static int run_loop_by_one(const bench_sampler *sampler, bench_outcome *outcome, uint64_t *checksum)
{
    return run_loop(sampler, 1, outcome, checksum);
}

static int run_loop_automatic(const bench_sampler *sampler, bench_outcome *outcome,
                              uint64_t *checksum)
{
    return run_loop(sampler, 0, outcome, checksum);
}

int main(int argc, char **argv)
{
    static const bench_workload workloads[] = {
        {"empty_jobs", run_empty_jobs},
        {"empty", run_empty},
        {"dag", run_dag},
        {"launch", run_launch},
        {"launch_fork", run_launch_fork},
        {"fib", run_fib},
        {"skynet", run_skynet},
        {"nqueens", run_queens},
        {"parallel_for_1", run_loop_by_one},
        {"parallel_for_auto", run_loop_automatic},
    };
    return bench_main(argc, argv, workloads, sizeof workloads / sizeof workloads[0]);
}
