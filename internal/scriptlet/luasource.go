package scriptlet

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// maxLuaSource is the length of the longest Lua text that is read. It bounds how deep the parser goes.
const maxLuaSource = 256 << 10

// Names that no script can spell: what the rewriting of a text refers to.
const (
	luaConcat = "concat\x00"
	luaArg    = "arg\x00"
)

// compileLua makes a function of Lua 5.4 text for an interpreter of Lua 5.1. Where the two read the same text in two
// ways it is rewritten: escapes in strings, numbers with leading zeros, the name arg in functions of any number of
// arguments. Concatenation becomes a call, so that what it makes can be bounded. Text that only 5.4 can read is an error.
func compileLua(text, chunk string) (*lua.FunctionProto, error) {
	if len(text) > maxLuaSource {
		return nil, &Limit{fmt.Sprintf("%d bytes of Lua", maxLuaSource)}
	}
	text, err := rewriteLuaEscapes(text)
	if err != nil {
		return nil, err
	}
	stmts, err := parse.Parse(strings.NewReader(text), chunk)
	if err != nil {
		return nil, err
	}
	luaStmts(stmts)
	return lua.Compile(stmts, chunk)
}

// rewriteLuaEscapes turns \x41, \u{41} and \z in strings into what Lua 5.1 knows.
func rewriteLuaEscapes(text string) (string, error) {
	if !strings.Contains(text, "\\") {
		return text, nil
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case strings.HasPrefix(text[i:], "--"):
			n := 2 + luaLongBracket(text[i+2:])
			if n == 2 {
				if n = strings.IndexByte(text[i:], '\n'); n < 0 {
					n = len(text) - i
				}
			}
			b.WriteString(text[i : i+n])
			i += n
		case text[i] == '[':
			n := max(1, luaLongBracket(text[i:]))
			b.WriteString(text[i : i+n])
			i += n
		case text[i] == '"' || text[i] == '\'':
			n, err := rewriteLuaString(&b, text[i:])
			if err != nil {
				return "", err
			}
			i += n
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return b.String(), nil
}

// luaLongBracket is the length of the [[...]] or [=[...]=] that s starts with, 0 without one.
func luaLongBracket(s string) int {
	level := 1
	for level < len(s) && s[level] == '=' {
		level++
	}
	if !strings.HasPrefix(s, "[") || level >= len(s) || s[level] != '[' {
		return 0
	}
	end := strings.Index(s, "]"+strings.Repeat("=", level-1)+"]")
	if end < 0 {
		return len(s)
	}
	return end + level + 1
}

// rewriteLuaString copies one quoted string and returns its length in s.
func rewriteLuaString(b *strings.Builder, s string) (int, error) {
	b.WriteByte(s[0])
	for i := 1; i < len(s); {
		switch {
		case s[i] == s[0]:
			b.WriteByte(s[i])
			return i + 1, nil
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
			i++
		case s[i+1] == 'x':
			if i+4 > len(s) {
				return 0, fmt.Errorf("hexadecimal digit expected near %q", s[i:])
			}
			c, err := strconv.ParseUint(s[i+2:i+4], 16, 8)
			if err != nil {
				return 0, fmt.Errorf("hexadecimal digit expected near %q", s[i:i+4])
			}
			fmt.Fprintf(b, "\\%03d", c)
			i += 4
		case s[i+1] == 'z':
			for i += 2; i < len(s) && strings.IndexByte(" \t\r\n\v\f", s[i]) >= 0; i++ {
			}
		case strings.HasPrefix(s[i+1:], "u{"):
			end := strings.IndexByte(s[i:], '}')
			if end < 0 {
				return 0, fmt.Errorf("missing '}' near %.20q", s[i:])
			}
			c, err := strconv.ParseUint(s[i+3:i+end], 16, 21)
			if err != nil {
				return 0, fmt.Errorf("UTF-8 value too large near %.20q", s[i:])
			}
			for _, c := range utf8.AppendRune(nil, rune(c)) {
				fmt.Fprintf(b, "\\%03d", c)
			}
			i += end + 1
		default:
			b.WriteString(s[i : i+2])
			i += 2
		}
	}
	return len(s), nil
}

func luaName(name string) string {
	if name == "arg" {
		return luaArg
	}
	return name
}

func luaNames(names []string) {
	for i := range names {
		names[i] = luaName(names[i])
	}
}

func luaStmts(stmts []ast.Stmt) {
	for _, s := range stmts {
		luaStmt(s)
	}
}

func luaStmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		luaExprs(s.Lhs)
		luaExprs(s.Rhs)
	case *ast.LocalAssignStmt:
		luaNames(s.Names)
		luaExprs(s.Exprs)
	case *ast.FuncCallStmt:
		s.Expr = luaExpr(s.Expr)
	case *ast.DoBlockStmt:
		luaStmts(s.Stmts)
	case *ast.WhileStmt:
		s.Condition = luaExpr(s.Condition)
		luaStmts(s.Stmts)
	case *ast.RepeatStmt:
		luaStmts(s.Stmts)
		s.Condition = luaExpr(s.Condition)
	case *ast.IfStmt:
		s.Condition = luaExpr(s.Condition)
		luaStmts(s.Then)
		luaStmts(s.Else)
	case *ast.NumberForStmt:
		s.Name = luaName(s.Name)
		s.Init, s.Limit, s.Step = luaExpr(s.Init), luaExpr(s.Limit), luaExpr(s.Step)
		luaStmts(s.Stmts)
	case *ast.GenericForStmt:
		luaNames(s.Names)
		luaExprs(s.Exprs)
		luaStmts(s.Stmts)
	case *ast.FuncDefStmt:
		s.Name.Func, s.Name.Receiver = luaExpr(s.Name.Func), luaExpr(s.Name.Receiver)
		luaExpr(s.Func)
	case *ast.ReturnStmt:
		luaExprs(s.Exprs)
	}
}

func luaExprs(exprs []ast.Expr) {
	for i := range exprs {
		exprs[i] = luaExpr(exprs[i])
	}
}

func luaExpr(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.NumberExpr:
		e.Value = decimalLua(e.Value)
	case *ast.IdentExpr:
		e.Value = luaName(e.Value)
	case *ast.AttrGetExpr:
		e.Object, e.Key = luaExpr(e.Object), luaExpr(e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			f.Key, f.Value = luaExpr(f.Key), luaExpr(f.Value)
		}
	case *ast.FuncCallExpr:
		e.Func, e.Receiver = luaExpr(e.Func), luaExpr(e.Receiver)
		luaExprs(e.Args)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = luaExpr(e.Lhs), luaExpr(e.Rhs)
	case *ast.RelationalOpExpr:
		e.Lhs, e.Rhs = luaExpr(e.Lhs), luaExpr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		e.Lhs, e.Rhs = luaExpr(e.Lhs), luaExpr(e.Rhs)
	case *ast.StringConcatOpExpr:
		return concatLua(e)
	case *ast.UnaryMinusOpExpr:
		e.Expr = luaExpr(e.Expr)
	case *ast.UnaryNotOpExpr:
		e.Expr = luaExpr(e.Expr)
	case *ast.UnaryLenOpExpr:
		e.Expr = luaExpr(e.Expr)
	case *ast.FunctionExpr:
		luaNames(e.ParList.Names)
		luaStmts(e.Stmts)
	}
	return e
}

// concatLua makes a..b..c one call.
func concatLua(e *ast.StringConcatOpExpr) ast.Expr {
	name := &ast.IdentExpr{Value: luaConcat}
	name.SetLine(e.Line())
	call := &ast.FuncCallExpr{Func: name, AdjustRet: true}
	call.SetLine(e.Line())
	call.SetLastLine(e.LastLine())
	var rest ast.Expr = e
	for {
		c, ok := rest.(*ast.StringConcatOpExpr)
		if !ok || len(call.Args) == 100 { // not more than fit the registers of a function
			break
		}
		call.Args = append(call.Args, luaExpr(c.Lhs))
		rest = c.Rhs
	}
	last := luaExpr(rest)
	// One value of a call at the end, as an operand has it.
	switch l := last.(type) {
	case *ast.FuncCallExpr:
		l.AdjustRet = true
	case *ast.Comma3Expr:
		l.AdjustRet = true
	}
	call.Args = append(call.Args, last)
	return call
}

// decimalLua keeps a decimal number with leading zeros from being read as an octal one.
func decimalLua(s string) string {
	for len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		s = s[1:]
	}
	return s
}
