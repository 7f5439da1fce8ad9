/* The idle protocol of exec/idle.c for spin: who searches, seeks, waits, parks, and is woken.
 *
 * One step here is one access to a shared word there; the names are the same. A team's queues are
 * one counter of jobs. A job lasts for as long as another is queued that somebody who sleeps could
 * run: so a job that is left to who sleeps shows as a standstill, not only one that is lost.
 *
 *   TEAMS, THREADS, PLACES   teams, threads of the pool, places of each team beside the caller's
 *   JOBS, SPAWNS             jobs a caller publishes before it waits, and jobs that jobs publish
 *   HELPS                    0: callers publish and are busy with something else ever after
 *
 * Checked: every standstill has all jobs done (the watchdog); with the claim `served`, under weak
 * fairness, they are done at last. Planted bugs: SKIPS_RESCAN, LOOKS_BEFORE_PREPARE, KEEPS_QUIET
 * (the last searcher that finds work wakes nobody), SEEKER_KEEPS_QUIET, SLEEPS_ON_STALE_KEY,
 * FORGETS_WAKE (wake_is_under_way stays), LEAVES_BEFORE_SEEKING.
 */
#ifndef TEAMS
#define TEAMS 1
#endif
#ifndef THREADS
#define THREADS 2
#endif
#ifndef PLACES
#define PLACES 2
#endif
#ifndef JOBS
#define JOBS 2
#endif
#ifndef SPAWNS
#define SPAWNS 1
#endif
#ifndef HELPS
#define HELPS 1
#endif
#define PROCESSES (TEAMS + THREADS)
/* Events: that of team t is t, and the pool's is the last. Processes: callers first. */
#define IDLE      TEAMS

bit has_begun;
byte work[TEAMS];       /* queued */
byte open[TEAMS];       /* jobs that have not ended: the latch */
byte to_spawn[TEAMS];
byte searchers[TEAMS];
byte free_places[TEAMS];
byte seekers;
byte waiters[TEAMS + 1];
bit wake_is_under_way[TEAMS + 1];
bit prepared[PROCESSES];   /* on its event: callers on that of their team, threads on the pool's */
bit key_is_old[PROCESSES]; /* the epoch has moved since prepare */
bit asleep[PROCESSES];

#define WAITS_ON(process, event)                                                                   \
    (prepared[process] &&                                                                          \
     ((process < TEAMS && process == event) || (process >= TEAMS && event == IDLE)))

inline move_epoch(event)
{
    d_step {
        each = 0;
        do
        :: each < PROCESSES ->
            if
            :: WAITS_ON(each, event) -> key_is_old[each] = 1
            :: else
            fi;
            each++
        :: else -> break
        od;
        each = 0
    }
}

/* Any one that sleeps there, or none. */
inline futex_wake(event)
{
    atomic {
        if
        :: asleep[0] && WAITS_ON(0, event) -> asleep[0] = 0
        :: asleep[1] && WAITS_ON(1, event) -> asleep[1] = 0
        :: asleep[2] && WAITS_ON(2, event) -> asleep[2] = 0
#if PROCESSES > 3
        :: asleep[3] && WAITS_ON(3, event) -> asleep[3] = 0
#endif
        :: else
        fi
    }
}

/* fol_event_count_notify_one; was_there tells. */
inline notify_one(event)
{
    if
    :: waiters[event] == 0 -> was_there = 0
    :: else ->
        move_epoch(event);
        futex_wake(event);
        was_there = 1
    fi
}

inline prepare(event)
{
    d_step {
        waiters[event]++;
        prepared[me] = 1;
        key_is_old[me] = 0
    }
}

inline cancel(event)
{
    d_step {
        waiters[event]--;
        prepared[me] = 0
    }
}

inline commit(event)
{
    atomic {
        if
#ifdef SLEEPS_ON_STALE_KEY
        :: true -> asleep[me] = 1
#else
        :: key_is_old[me]
        :: else -> asleep[me] = 1
#endif
        fi
    };
    asleep[me] == 0;
    cancel(event)
}

/* nobody: there was none to wake. */
inline wake_one(event)
{
    nobody = 1;
    do
    :: waiters[event] == 0 -> break
    :: else ->
        nobody = 0;
        if
        :: atomic { wake_is_under_way[event] == 0 -> wake_is_under_way[event] = 1 };
            notify_one(event);
            if
            :: was_there -> break
            :: else -> wake_is_under_way[event] = 0; nobody = 1
            fi
        :: wake_is_under_way[event] == 1 -> break
        fi
    od
}

inline wake_thread()
{
    if
    :: seekers != 0
    :: else -> wake_one(IDLE)
    fi
}

inline wake_for_team(t)
{
    if
    :: searchers[t] != 0
    :: else ->
        wake_one(t);
        if
        :: nobody && free_places[t] != 0 -> wake_thread()
        :: else
        fi
    fi;
    nobody = 0;
    was_there = 0
}

inline publish(t)
{
    work[t]++;
    wake_for_team(t)
}

/* found: a team has a free place and work. */
inline any_team_wants_thread()
{
    found = 0;
    look = 0;
    do
    :: look < TEAMS && !found ->
        if
        :: free_places[look] != 0 ->
            if
            :: work[look] != 0 -> found = 1
            :: else
            fi
        :: else
        fi;
        look++
    :: else -> break
    od;
    look = 0
}

inline begin_search(t)
{
    searchers[t]++;
    is_searching = 1
}

inline end_search(t)
{
    is_searching = 0;
    atomic {
        searchers[t]--;
        was_last = searchers[t] == 0
    };
#ifndef KEEPS_QUIET
    if
    :: was_last && work[t] != 0 -> wake_for_team(t)
    :: else
    fi;
#endif
    was_last = 0
}

#define COULD_RUN(t)                                                                               \
    (work[t] != 0 &&                                                                               \
     (asleep[t] || (free_places[t] != 0 && (asleep[TEAMS] || asleep[PROCESSES - 1]))))
#if TEAMS > 1
#define SLEEPER_COULD_RUN (COULD_RUN(0) || COULD_RUN(1))
#else
#define SLEEPER_COULD_RUN COULD_RUN(0)
#endif

inline run_job(t)
{
    atomic {
        if
        :: to_spawn[t] != 0 -> to_spawn[t]--; spawns = 1
        :: else
        fi
    };
    if
    :: spawns -> publish(t)
    :: else
    fi;
    spawns = 0;
    !SLEEPER_COULD_RUN;
    /* fol_latch_count_down: the last one wakes the caller. */
    atomic {
        open[t]--;
        was_last = open[t] == 0
    };
    if
    :: was_last -> notify_one(t)
    :: else
    fi;
    was_last = 0;
    was_there = 0
}

/* fol_worker_park, of a caller. */
inline park_caller(t)
{
#ifdef LOOKS_BEFORE_PREPARE
    found = open[t] == 0 || work[t] != 0;
    searchers[t]--;
    prepare(t);
#else
    searchers[t]--;
    prepare(t);
#ifdef SKIPS_RESCAN
    found = open[t] == 0;
#else
    found = open[t] == 0 || work[t] != 0;
#endif
#endif
    if
    :: found -> cancel(t)
    :: else -> commit(t)
    fi;
    found = 0;
    searchers[t]++;
#ifndef FORGETS_WAKE
    wake_is_under_way[t] = 0
#endif
}

/* Publishes its jobs, and works until all have ended. */
proctype caller(byte me)
{
    bit is_searching, was_last, was_there, nobody, found, spawns;
    byte each, left = JOBS, look;
    do
    :: left != 0 -> publish(me); left--
    :: else -> break
    od;
    do
    :: !HELPS || open[me] == 0 -> break
    :: HELPS && open[me] != 0 && work[me] != 0 ->
        if
        :: atomic { work[me] != 0 -> work[me]-- };
            if
            :: is_searching -> end_search(me)
            :: else
            fi;
            run_job(me)
        :: work[me] == 0
        fi
    :: HELPS && open[me] != 0 && work[me] == 0 ->
        if
        :: !is_searching -> begin_search(me)
        :: else -> park_caller(me)
        fi
    od;
    if
    :: is_searching -> end_search(me)
    :: else
    fi
}

/* fol_worker_serve: from a place taken, as a searcher, to the moment it gives up. */
inline serve(t)
{
    is_searching = 1;
    do
    :: work[t] != 0 ->
        if
        :: atomic { work[t] != 0 -> work[t]-- };
            if
            :: is_searching -> end_search(t)
            :: else
            fi;
            run_job(t)
        :: work[t] == 0
        fi
    :: work[t] == 0 ->
        if
        :: !is_searching -> begin_search(t)
        :: else -> break
        fi
    od;
    is_searching = 0
}

inline park_thread()
{
#ifdef LOOKS_BEFORE_PREPARE
    any_team_wants_thread();
    seekers--;
    prepare(IDLE);
#else
    seekers--;
    prepare(IDLE);
#ifndef SKIPS_RESCAN
    any_team_wants_thread();
#endif
#endif
    if
    :: found -> cancel(IDLE)
    :: else -> commit(IDLE)
    fi;
    found = 0;
    seekers++;
#ifndef FORGETS_WAKE
    wake_is_under_way[IDLE] = 0
#endif
}

/* took: a place in team `team`. */
inline seek_place()
{
    took = 0;
    team = 0;
    do
    :: team < TEAMS ->
        if
        :: free_places[team] != 0 && work[team] != 0 ->
            if
            :: atomic { free_places[team] != 0 -> free_places[team]--; took = 1 };
                searchers[team]++;
                break
            :: free_places[team] == 0
            fi
        :: else
        fi;
        team++
    :: else -> break
    od
}

/* fol_pool_serve. */
proctype pool_thread(byte me)
{
    bit is_searching, was_last, was_there, nobody, found, spawns, took;
    byte each, team, look;
    seekers++;
    do
    :: true ->
        seek_place();
        if
        :: !took -> park_thread()
        :: else ->
            atomic {
                seekers--;
                was_last = seekers == 0
            };
#ifndef SEEKER_KEEPS_QUIET
            if
            :: was_last ->
                any_team_wants_thread();
                if
                :: found -> wake_thread()
                :: else
                fi;
                found = 0;
                nobody = 0;
                was_there = 0
            :: else
            fi;
#endif
            was_last = 0;
            took = 0;
            serve(team);
#ifdef LEAVES_BEFORE_SEEKING
            searchers[team]--;
            free_places[team]++;
            team = 0;
            prepare(IDLE);
            commit(IDLE);
            seekers++;
            wake_is_under_way[IDLE] = 0
#else
            seekers++;
            searchers[team]--;
            free_places[team]++;
            team = 0
#endif
        fi
    od
}

#if TEAMS > 1
#define ALL_DONE (has_begun && open[0] == 0 && open[1] == 0)
#else
#define ALL_DONE (has_begun && open[0] == 0)
#endif

proctype watchdog()
{
    timeout -> assert(ALL_DONE)
}

init
{
    byte process = 0;
    atomic {
        do
        :: process < TEAMS ->
            open[process] = JOBS + SPAWNS;
            to_spawn[process] = SPAWNS;
            free_places[process] = PLACES;
            process++
        :: else -> break
        od;
        process = 0;
        do
        :: process < PROCESSES ->
            if
            :: process < TEAMS -> run caller(process)
            :: else -> run pool_thread(process)
            fi;
            process++
        :: else -> break
        od;
        run watchdog();
        has_begun = 1
    }
}

ltl served { <> ALL_DONE }
