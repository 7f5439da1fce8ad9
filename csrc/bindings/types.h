/* The types of the world side: each file adds its own to the module when it is loaded.
 *
 * Each function makes one or two heap types, stores them in the state and exposes those that users
 * meet. Order matters where a type is a base of another.
 */
#ifndef FOL_BINDINGS_TYPES_H
#define FOL_BINDINGS_TYPES_H

#include "bindings/bindings.h"

int fol_py_add_value_types(fol_py_state *state);
int fol_py_add_component_types(fol_py_state *state);
int fol_py_add_entity_type(fol_py_state *state);
int fol_py_add_memory_types(fol_py_state *state);
int fol_py_add_column_types(fol_py_state *state);
int fol_py_add_cells_type(fol_py_state *state);
int fol_py_add_chunk_type(fol_py_state *state);
int fol_py_add_query_types(fol_py_state *state);
int fol_py_add_resource_type(fol_py_state *state);
int fol_py_add_world_type(fol_py_state *state);
int fol_py_add_fair_type(fol_py_state *state);
int fol_py_add_analysis(fol_py_state *state);
int fol_py_add_graph_type(fol_py_state *state);
int fol_py_add_sim_types(fol_py_state *state);
int fol_py_add_budget_types(fol_py_state *state);

#endif
