package builder

import (
	"encoding/json"
	"fmt"
	"slices"
)

// RecipeSchema returns a JSON Schema (draft 2020-12) of recipes, indented. What it refuses, ReadRecipe refuses; what
// only ReadRecipe can see, such as a loop of parents, passes it.
func RecipeSchema() []byte {
	s := schemaOf(recipeShape())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "slim recipe"
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("the table of keys makes no JSON: %v", err)) // it holds nothing but strings, numbers and booleans
	}
	return append(out, '\n')
}

func schemaOf(s *shape) map[string]any {
	m := map[string]any{"type": typesOf(s)}
	put := func(name string, value any, said bool) {
		if said {
			m[name] = value
		}
	}
	put("description", s.doc, s.doc != "")
	put("default", s.initial, s.initial != nil)
	put("enum", s.enum, s.enum != nil)
	put("pattern", s.pattern, s.pattern != "")
	put("minimum", s.min, s.max > 0)
	put("maximum", s.max, s.max > 0)
	put("minItems", 1, s.filled)
	if s.item != nil {
		m["items"] = schemaOf(s.item)
	}
	if s.kinds&kindMapping != 0 {
		addMapping(m, s)
	}
	return m
}

func typesOf(s *shape) any {
	var types []string
	for i, name := range []string{"string", "number", "boolean", "array", "object"} {
		if s.kinds&(1<<i) != 0 {
			if name == "number" && s.max > 0 {
				name = "integer"
			}
			types = append(types, name)
		}
	}
	if len(types) == 1 {
		return types[0]
	}
	return types
}

func addMapping(m map[string]any, s *shape) {
	properties := map[string]any{}
	for _, k := range s.keys {
		properties[k.name] = schemaOf(k.shape)
	}
	if len(properties) > 0 {
		m["properties"] = properties
	}
	switch {
	case s.open == nil:
		m["additionalProperties"] = false
	default:
		m["additionalProperties"] = schemaOf(s.open)
		if s.keyPattern != "" {
			m["propertyNames"] = map[string]any{"pattern": s.keyPattern}
		}
	}
	if len(s.required) > 0 {
		m["required"] = s.required
	}
	if len(s.exactlyOne) > 0 {
		var one []any
		for _, name := range s.exactlyOne {
			one = append(one, map[string]any{"required": []string{name}})
		}
		m["oneOf"] = one
	}
	if len(s.together) > 0 {
		need := map[string][]string{}
		for _, pair := range s.together {
			need[pair[0]], need[pair[1]] = []string{pair[1]}, []string{pair[0]}
		}
		m["dependentRequired"] = need
	}
	var all []any
	for _, r := range s.rules {
		var anyOf []any
		for _, c := range r.anyOf {
			anyOf = append(anyOf, schemaOfCondition(c))
		}
		all = append(all, map[string]any{"anyOf": anyOf})
	}
	if all != nil {
		m["allOf"] = all
	}
}

func schemaOfCondition(c condition) map[string]any {
	m := map[string]any{}
	required := slices.Clone(c.has)
	if c.not != "" {
		m["properties"] = map[string]any{c.not: map[string]any{"enum": []bool{false}}}
		if c.said {
			required = append(required, c.not)
		}
	}
	if required != nil {
		m["required"] = required
	}
	return m
}
