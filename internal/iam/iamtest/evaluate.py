"""A second evaluator of IAM policies, to hold the first one against.

It was written from the published rules (IAM User Guide; AWS KMS Developer
Guide; docs/policy-language.md where those are silent) and not from the Go
code. It is slow and plain on purpose, and uses nothing but the standard
library.

Standard input has one case on each line, standard output one answer on each:

    case    {"principal": {...}, "action": "kms:Decrypt", "resource": ARN or "*",
             "context": [{"name", "sub", "type", "value"}],
             "key": {"account", "policy"} or null, "trust": text or null,
             "identity": [text], "boundary": text or null,
             "session": [text] or null,
             "grants": [{"grantee", "operations", "equals", "subset", "source_arn"}],
             "encryption_context": {}}
    answer  {"key", "trust", "boundary": [outcome, check] or null,
             "identity", "session": list of those, "decision": text}

An outcome is what the document says ("deny direct allow delegates", as far as
it does) or "malformed" or "invalid principal". A check is "ok", "malformed"
or "overly permissive". The decision is "allow", "explicit deny" or "implicit
deny", or "" where a document is malformed.

Three values stand for true, false and what cannot be told: 1, 0 and 0.5.
Then "and" is min, "or" is max, "not" is 1 - x.
"""

import base64
import datetime
import ipaddress
import json
import re
import sys
from fractions import Fraction

TRUE, UNSURE, FALSE = 1, 0.5, 0


class Malformed(Exception):
    pass


class InvalidPrincipal(Malformed):
    pass


class OverlyPermissive(Malformed):
    pass


# --- documents -------------------------------------------------------------

class Number(str):
    """A JSON number, as it was written."""


def reject_duplicates(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise Malformed("a member twice")
    return dict(pairs)


def reject_constant(_):
    raise Malformed("no JSON")


def load(text):
    if len(text.encode()) > 32768:
        raise Malformed("size")
    nested = deepest = 0
    for c in re.findall(r"[][{}]", re.sub(r'"(?:[^"\\]|\\.)*"', "", text, flags=re.S)):
        nested += (c in "{[") - (c in "}]")
        deepest = max(deepest, nested)
    if deepest > 16:
        raise Malformed("depth")
    try:
        value = json.loads(text, object_pairs_hook=reject_duplicates, parse_int=Number,
                           parse_float=Number, parse_constant=reject_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate does not encode
    except (ValueError, RecursionError):
        raise Malformed("no JSON") from None
    return value


def plain_string(value):
    if type(value) is not str:
        raise Malformed("a string is expected")
    return value


def strings(value):
    if type(value) is list:
        return [plain_string(v) for v in value]
    return [plain_string(value)]


ELEMENTS = {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction",
            "Resource", "NotResource", "Condition"}


def parse(text):
    doc = load(text)
    if type(doc) is not dict or not set(doc) <= {"Version", "Id", "Statement"}:
        raise Malformed("document")
    for name in ("Version", "Id"):
        if name in doc:
            plain_string(doc[name])
    version = doc.get("Version", "2008-10-17")
    if version not in ("2008-10-17", "2012-10-17"):
        raise Malformed("Version")
    statements = doc.get("Statement")
    if type(statements) is dict:
        statements = [statements]
    if type(statements) is not list or not statements:
        raise Malformed("Statement")
    # The JSON type of everything comes first: whether a principal is valid is
    # asked only of a document whose shape is right.
    for s in statements:
        check_shape(s)
    return [parse_statement(s, version == "2012-10-17") for s in statements]


def check_shape(s):
    if type(s) is not dict or not set(s) <= ELEMENTS:
        raise Malformed("statement")
    for name, value in s.items():
        if name in ("Sid", "Effect"):
            plain_string(value)
        elif name in ("Principal", "NotPrincipal"):
            if value != "*":
                if type(value) is not dict:
                    raise Malformed(name)
                for listed in value.values():
                    strings(listed)
        elif name == "Condition":
            if type(value) is not dict:
                raise Malformed(name)
            for keys in value.values():
                if type(keys) is not dict:
                    raise Malformed(name)
                for values in keys.values():
                    scalars(values)
        else:
            strings(value)


def scalars(value):
    out = []
    for v in value if type(value) is list else [value]:
        if type(v) is bool:
            out.append("true" if v else "false")
        elif type(v) is str:
            out.append(v)
        elif type(v) is Number and number(v) is not None:
            out.append(str(v))
        else:
            raise Malformed("condition value")
    return out


def parse_statement(s, variables):
    if s.get("Effect") not in ("Allow", "Deny"):
        raise Malformed("Effect")
    one_of(s, "Principal")
    for name in ("Principal", "NotPrincipal"):
        if name in s:
            s[name] = parse_principals(s[name])
    one_of(s, "Action")
    for name in ("Action", "NotAction"):
        if name in s:
            s[name] = [action_pattern(a) for a in strings(s[name])]
    one_of(s, "Resource")
    for name in ("Resource", "NotResource"):
        if name in s:
            s[name] = [resource_pattern(r, variables) for r in strings(s[name])]
    s["conditions"] = parse_conditions(s.get("Condition", {}), variables)
    return s


def one_of(s, name):
    if name in s and "Not" + name in s:
        raise Malformed("both")
    if name != "Principal" and s.get("Not" + name) == []:
        raise Malformed("an empty Not" + name)


def action_pattern(text):
    if not re.fullmatch(r"\*|[A-Za-z0-9*?_-]+:[A-Za-z0-9*?_-]+", text):
        raise Malformed("Action")
    return pattern(text.lower(), True, False)


# --- patterns: lists of characters, wildcards and variables ------------------

ANY_RUN, ANY_ONE = ("run",), ("one",)


def pattern(text, wild, variables):
    out = []
    while text:
        if variables and text.startswith("${"):
            escape = re.match(r"\$\{([*?$])\}", text)
            variable = re.match(r"\$\{([^,}]*)(?:, *'([^']*)')?\}", text)
            if escape:
                out.append(escape[1])
                text = text[escape.end():]
                continue
            if not variable or " " in variable[1]:
                raise Malformed("variable")
            out.append(("variable", parse_key(variable[1]), variable[2]))
            text = text[variable.end():]
            continue
        out.append(ANY_RUN if wild and text[0] == "*" else ANY_ONE if wild and text[0] == "?" else text[0])
        text = text[1:]
    return out


def resource_pattern(text, variables):
    p = pattern(text, True, variables)
    colons = 0
    for item in p:
        if item == ":":
            colons += 1
        elif item[0] == "variable" and colons < 5:
            raise Malformed("a variable before the fifth colon")
    return p


class Missing(Exception):
    """A variable without a value and without a default."""


class Unreadable(Exception):
    """A value that is not of the type that is needed, or not a single one."""


def expand(p, request):
    out = []
    for item in p:
        if item[0] == "variable":
            values = request.values(item[1])
            if len(values) > 1:
                raise Unreadable
            if not values and item[2] is None:
                raise Missing
            out.extend(as_text(values[0]) if values else item[2])
        else:
            out.append(item)
    return out


def matches(items, s):
    """Whether the expanded pattern covers exactly s."""
    if ANY_RUN not in items and ANY_ONE not in items:
        return "".join(items) == s
    expression = "".join(".*" if i is ANY_RUN else "." if i is ANY_ONE else re.escape(i) for i in items)
    return re.fullmatch(expression, s, flags=re.S) is not None


def among(patterns, s, request, missing):
    out = FALSE
    for p in patterns:
        try:
            out = max(out, TRUE if matches(expand(p, request), s) else FALSE)
        except Missing:
            out = max(out, missing)
        except Unreadable:
            out = max(out, UNSURE)
    return out


# --- principals ------------------------------------------------------------

ARN = r"arn:[\x21-\x39\x3b-\x7e]+:"
NAME = r"[^*?/]([^*?]*[^*?/])?"
SESSION = r"[A-Za-z0-9_+=,.@-]{2,64}"
DOMAIN = r"(?=.*\.)[A-Za-z0-9-]([A-Za-z0-9.-]*[A-Za-z0-9-])?"

AWS_FORMS = [
    ("account", r"(?P<account>[0-9]{12})"),
    ("account", r"arn:(?P<partition>[\x21-\x39\x3b-\x7e]+):iam::(?P<account>[0-9]{12}):root"),
    ("user arn", ARN + r"iam::[0-9]{12}:user/" + NAME),
    ("role arn", ARN + r"iam::[0-9]{12}:role/" + NAME),
    ("session arn", ARN + r"sts::[0-9]{12}:assumed-role/[^*?/]+/" + SESSION),
    ("nobody", ARN + r"sts::[0-9]{12}:federated-user/" + NAME),
    ("user id", r"AIDA[A-Z0-9]{12,124}"),
    ("role id", r"AROA[A-Z0-9]{12,124}"),
    ("session id", r"AROA[A-Z0-9]{12,124}:" + SESSION),
]


def parse_principals(value):
    if value == "*":
        return [("anyone", None)]
    out = []
    for kind, values in value.items():
        values = strings(values)
        if not values:
            raise InvalidPrincipal
        out += [parse_principal(kind, v) for v in values]
    if not out:
        raise InvalidPrincipal
    return out


def parse_principal(kind, value):
    is_arn = value.startswith("arn:")
    if is_arn and (len(value) > 2048 or not re.fullmatch(r"[\x21-\x7e]*", value) or re.search(r"[*?]", value)):
        raise InvalidPrincipal
    if kind == "AWS":
        if value == "*":
            return ("anyone", None)
        for form, expression in AWS_FORMS:
            found = re.fullmatch(expression, value)
            if found:
                return (form, found.groupdict() if form == "account" else value)
    elif kind == "Service" and re.fullmatch(DOMAIN, value, flags=re.S):
        return ("nobody", value)
    elif kind == "Federated":
        if not is_arn and re.fullmatch(DOMAIN, value, flags=re.S):
            return ("provider", value)
        if re.fullmatch(ARN + r"iam::[0-9]{12}:(oidc|saml)-provider/" + NAME, value):
            return ("provider", value)
    raise InvalidPrincipal


def links(principal, trust):
    """Who somebody is, in every form: {link: the patterns that list it}."""
    account = [("account", {"account": principal["account"]}),
               ("account", {"partition": principal["partition"], "account": principal["account"]})]
    out = {"account": account} if principal["account"] else {}
    if principal["kind"] == "root":
        out["itself"] = account
    elif principal["kind"] == "user":
        out["itself"] = [("user arn", principal["arn"]), ("user id", principal["id"])]
    elif principal["kind"] == "session":
        out["itself"] = [("session arn", principal["arn"]), ("session id", principal["id"])]
        out["role"] = [("role arn", principal["role_arn"]), ("role id", principal["role_id"])]
    if trust and principal["provider"]:
        out["provider"] = [("provider", principal["provider"])]
    return out


def listed_links(patterns, principal, trust):
    normal = [(form, {k: v for k, v in value.items() if v is not None}) if form == "account" else (form, value)
              for form, value in patterns]
    found = {link for link, forms in links(principal, trust).items() if any(f in normal for f in forms)}
    return found | {"anyone"} if ("anyone", None) in patterns else found


def named(s, principal, kind):
    """By what the statement names the principal: a set, empty if it does not."""
    deny, somebody = s["Effect"] == "Deny", principal["kind"] != "nobody"
    trust = kind == "trust"
    if kind == "identity":
        has_principal = "Principal" in s or "NotPrincipal" in s
        return {"anyone"} if deny or somebody and not has_principal else set()
    if "Principal" in s:
        found = listed_links(s["Principal"], principal, trust)
        return found if deny or somebody else found & {"provider"}
    if "NotPrincipal" not in s:
        return set()
    found = listed_links(s["NotPrincipal"], principal, trust)
    if not deny:
        return {"anyone"} if somebody and not found else set()
    if "anyone" in found:
        return set()
    needed = {"user": {"itself", "account"}, "root": {"itself", "account"},
              "session": {"itself", "role", "account"}}.get(principal["kind"])
    if needed is None:
        needed = {"provider"} if trust and principal["provider"] else None
    return set() if needed is not None and needed <= found else {"anyone"}


# --- values ----------------------------------------------------------------

def number(text):
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return None
    whole, _, decimals = text.partition(".")
    if not -2**63 <= int(whole) < 2**63 or len(decimals.rstrip("0")) > 9:
        return None
    value = Fraction(text)
    return value if value >= -2**63 else None


def date(text):
    if not re.fullmatch(r"[0-9]{4}", text) and not re.fullmatch(r".{4}-.*", text, flags=re.S):
        return number(text)
    found = re.fullmatch(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T([0-9]{2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]+)?)?"
                         r"(Z|[+-][0-9]{2}:[0-9]{2}))?)?)?", text)
    if not found:
        return None
    year, month, day, hour, minute, second = (int(g) if g else None for g in found.groups()[:6])
    fraction, zone = found[7] or "", found[8] or "Z"
    if len(fraction.rstrip("0")) > 10 or max(hour or 0, 0) > 23 or (minute or 0) > 59 or (second or 0) > 59:
        return None
    offset = 0
    if zone != "Z":
        h, m = int(zone[1:3]), int(zone[4:6])
        if h > 23 or m > 59:
            return None
        offset = (h * 3600 + m * 60) * (1 if zone[0] == "+" else -1)
    shift = 0
    if year == 0:  # the library has no year 0, which was a leap year like 400; 400 years have 146,097 days
        year, shift = 400, 146097 * 86400
    try:
        days = datetime.date(year, 1 if month is None else month, 1 if day is None else day).toordinal() - 719163
    except ValueError:
        return None
    seconds = days * 86400 + (hour or 0) * 3600 + (minute or 0) * 60 + (second or 0) - offset - shift
    return seconds + Fraction("0" + fraction if fraction else "0")


def boolean(text):
    return {"true": True, "false": False}.get(text.lower()) if text.isascii() else None


def binary(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return raw if base64.b64encode(raw).decode() == text else None


def address(text):
    try:
        a = ipaddress.ip_address(text)
    except ValueError:
        return None
    if a.version == 6:
        if a.scope_id is not None:
            return None
        return a.ipv4_mapped or a
    return a


def network(text):
    alone = address(text)
    if alone is not None:
        return ipaddress.ip_network(alone)
    base, slash, bits = text.partition("/")
    if not slash or not re.fullmatch(r"0|[1-9][0-9]{0,2}", bits):
        return None
    try:
        if ipaddress.ip_address(base).version == 6 and ipaddress.ip_address(base).ipv4_mapped:
            return None
        if "%" in base:
            return None
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def as_text(value):
    kind, v = value
    if kind == "text":
        return v
    if kind == "flag":
        return "true" if v else "false"
    if kind == "moment":
        moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=v[0])
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if kind == "addr":
        return str(address(v))
    return str(v)


def as_number(value):
    kind, v = value
    if kind == "number":
        return Fraction(v)
    if kind == "moment":
        return v[0] + Fraction(v[1], 10**9)
    return number(v) if kind == "text" else None


def as_date(value):
    return date(value[1]) if value[0] == "text" else as_number(value)


# --- conditions ------------------------------------------------------------

def parse_key(text):
    """A key, folded, as (service:word, what follows); that of a provider, a URL without
    scheme, a colon and a claim, as (all of it, nothing)."""
    service, colon, rest = text.lower().partition(":")
    if colon and service and ("." in service or "/" in service or rest[:1] in tuple("0123456789")):
        claim = text.lower().rpartition(":")[2]
        if not claim or "/" in claim or re.search(r"[\x00-\x1f\x7f]", text):
            raise Malformed("key")
        return (text.lower(), "")
    found = re.fullmatch(r"([^:]+:[^:/]+)(?:[:/](.+))?", text.lower(), flags=re.S)
    if not found or re.search(r"[\x00-\x1f\x7f]", text):
        raise Malformed("key")
    return (found[1], found[2] or "")


ORDERS = {"Equals": lambda a, b: a == b, "LessThan": lambda a, b: a < b, "LessThanEquals": lambda a, b: a <= b,
          "GreaterThan": lambda a, b: a > b, "GreaterThanEquals": lambda a, b: a >= b}

# Positive operators: the type of their values. Negations are derived below.
POSITIVE = {"StringEquals": "string", "StringEqualsIgnoreCase": "fold", "StringLike": "like", "ArnEquals": "arn",
            "ArnLike": "arn", "Bool": "bool", "BinaryEquals": "binary", "IpAddress": "ip", "Null": "null"}
POSITIVE.update({"Numeric" + o: "number" for o in ORDERS})
POSITIVE.update({"Date" + o: "date" for o in ORDERS})
NEGATIVE = {"StringNotEquals": "StringEquals", "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
            "StringNotLike": "StringLike", "ArnNotEquals": "ArnEquals", "ArnNotLike": "ArnLike",
            "NotIpAddress": "IpAddress", "NumericNotEquals": "NumericEquals", "DateNotEquals": "DateEquals"}


def parse_conditions(block, variables):
    out = []
    for name, keys in block.items():
        found = re.fullmatch(r"(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?", name, flags=re.S)
        quantifier, base, if_exists = found.groups()
        positive = NEGATIVE.get(base, base)
        if positive not in POSITIVE or positive == "Null" and (quantifier or if_exists) or not keys:
            raise Malformed("operator")
        folded = [parse_key(k) for k in keys]
        if len(set(folded)) != len(folded):
            raise Malformed("a key twice")
        for key, values in zip(folded, keys.values()):
            kind = POSITIVE[positive]
            out.append({"key": key, "kind": kind, "negated": base in NEGATIVE, "quantifier": quantifier,
                        "if_exists": bool(if_exists), "order": ORDERS.get(re.sub("^(Numeric|Date)", "", positive)),
                        "values": [parse_operand(kind, v, variables) for v in scalars(values)]})
    return out


def parse_operand(kind, text, variables):
    if kind in ("string", "fold"):
        return pattern(text, False, variables)
    if kind == "like":
        return pattern(text, True, variables)
    if kind == "arn":
        if text == "*":
            return None
        p, parts = pattern(text, True, variables), [[]]
        for item in p:
            if item == ":" and len(parts) < 6:
                parts.append([])
            else:
                parts[-1].append(item)
        # An escape gives a character, and none of the three is a colon.
        if len(parts) < 6:
            raise Malformed("ARN")
        return parts
    read = {"number": number, "date": date, "bool": boolean, "null": boolean, "binary": binary, "ip": network}[kind]
    value = read(text)
    if value is None:
        raise Malformed(kind)
    return value


def equals(c, operand, value, request):
    """Whether one value of the request is one value of the policy."""
    kind = c["kind"]
    if kind == "null":
        raise AssertionError
    if kind in ("string", "like"):
        return matches(expand(operand, request), as_text(value))
    if kind == "fold":
        return "".join(expand(operand, request)).lower() == as_text(value).lower()
    if kind == "arn":
        parts = value[1].split(":", 5) if value[0] == "text" else []
        if len(parts) < 6 or parts[0] != "arn":
            raise Unreadable
        if operand is None:
            return True
        # Component by component; one that plainly differs settles it.
        out = TRUE
        for part_pattern, part in zip(operand, parts):
            out = min(out, among([part_pattern], part, request, UNSURE))
        if out == UNSURE:
            raise Unreadable
        return out == TRUE
    if kind == "binary":
        if value[0] != "text":
            raise Unreadable
        return value[1].encode() == operand
    if kind == "bool":
        got = value[1] if value[0] == "flag" else boolean(value[1]) if value[0] == "text" else None
    elif kind == "ip":
        got = address(value[1]) if value[0] in ("addr", "text") else None
    else:
        got = as_number(value) if kind == "number" else as_date(value)
    if got is None:
        raise Unreadable
    if kind == "ip":
        return got.version == operand.version and got in operand
    if kind == "bool":
        return got == operand
    return c["order"](got, operand)


def one_value(c, value, request):
    out = FALSE
    for operand in c["values"]:
        try:
            out = max(out, TRUE if equals(c, operand, value, request) else FALSE)
        except (Missing, Unreadable):
            out = max(out, UNSURE)
    return 1 - out if c["negated"] else out


def condition(c, request):
    values = request.values(c["key"])
    null = all(v == ("text", "") for v in values)
    if c["kind"] == "null":
        return TRUE if null in c["values"] else FALSE
    if c["quantifier"] == "ForAllValues":
        return TRUE if null else min(one_value(c, v, request) for v in values)
    if c["quantifier"] == "ForAnyValue":
        return FALSE if null else max(one_value(c, v, request) for v in values)
    if not values:
        return TRUE if c["negated"] or c["if_exists"] else FALSE
    if len(values) > 1:
        return UNSURE
    return one_value(c, values[0], request)


# --- one document ----------------------------------------------------------

class Request:
    def __init__(self, case):
        self.principal, self.action, self.resource = case["principal"], case["action"].lower(), case["resource"]
        self.context = {(v["name"], v["sub"]): v for v in case["context"]}

    def values(self, key):
        found = self.context.get(key)
        if found is None:
            return []
        if found["type"] == "texts":
            return [("text", v) for v in found["value"]]
        return [(found["type"], found["value"])]


def evaluate(statements, request, kind):
    out = set()
    for s in statements:
        names = named(s, request.principal, kind)
        if not names:
            continue
        about = FALSE
        if "Action" in s:
            about = among(s["Action"], request.action, request, FALSE)
        elif "NotAction" in s:
            about = 1 - among(s["NotAction"], request.action, request, UNSURE)
        if kind == "trust":
            if ("Resource" in s or "NotResource" in s) and s["Effect"] == "Allow":
                about = FALSE
        elif "Resource" in s:
            about = min(about, among(s["Resource"], request.resource, request, FALSE))
        elif "NotResource" in s:
            about = min(about, 1 - among(s["NotResource"], request.resource, request, UNSURE))
        else:
            about = FALSE
        for c in s["conditions"]:
            about = min(about, condition(c, request))
        if s["Effect"] == "Deny":
            if about > FALSE:
                out.add("deny")
        elif about == TRUE:
            if "itself" in names:
                out.add("direct")
            if names & {"itself", "role", "anyone", "provider"}:
                out.add("allow")
            if "account" in names:
                out.add("delegates")
    return out


def check(statements, kind):
    for s in statements:
        has = {name for name in ("Principal", "Action", "Resource") if name in s or "Not" + name in s}
        if kind == "identity" and has != {"Action", "Resource"}:
            raise Malformed
        if kind == "trust" and has != {"Principal", "Action"}:
            raise Malformed
        if kind == "key":
            if "Principal" not in has:
                raise Malformed
            for c in s["conditions"]:
                if c["quantifier"] == "ForAllValues" and c["key"][0] in ("kms:encryptioncontext", "aws:requesttag"):
                    raise OverlyPermissive


def ask(text, request, kind):
    """[outcome, check], and the outcome as a set; None of a malformed document."""
    if text is None:
        return None, set()
    try:
        statements = parse(text)
    except InvalidPrincipal:
        return ["invalid principal", "malformed"], None
    except Malformed:
        return ["malformed", "malformed"], None
    try:
        check(statements, kind)
        fit = "ok"
    except OverlyPermissive:
        fit = "overly permissive"
    except Malformed:
        fit = "malformed"
    says = evaluate(statements, request, kind)
    return [" ".join(w for w in ("deny", "direct", "allow", "delegates") if w in says), fit], says


# --- the whole decision ------------------------------------------------------

WITH_CONTEXT = {"encrypt", "decrypt", "generatedatakey", "generatedatakeywithoutplaintext", "generatedatakeypair",
                "generatedatakeypairwithoutplaintext", "reencryptfrom", "reencryptto"}


def grant_names(grant, request):
    """By what a grant that fits names the caller: "itself" (or its role), "account" or None."""
    operation = request.action.removeprefix("kms:")
    if operation not in {o.lower() for o in grant["operations"]}:
        return None
    if operation in WITH_CONTEXT:
        pairs = request.encryption_context
        if grant.get("equals") is not None and grant["equals"] != pairs:
            return None
        if grant.get("subset") is not None and not grant["subset"].items() <= pairs.items():
            return None
    if grant.get("source_arn") and operation != "retiregrant":
        if request.values(("aws:sourcearn", "")) != [("text", grant["source_arn"])]:
            return None
    try:
        listed = listed_links([parse_principal("AWS", grant["grantee"])], request.principal, False)
    except Malformed:
        return None
    if listed & {"itself", "role"}:
        return "itself"
    return "account" if "account" in listed else None


def decide(case, request, key, identity, boundary, session):
    says = [d for d in [key, boundary, *identity, *(session or [])] if d is not None]
    if any("deny" in d for d in says):
        return "explicit deny"
    who = request.principal
    if who["kind"] == "nobody" or not who["account"]:
        return "implicit deny"
    fenced_in = boundary is not None and "allow" not in boundary or \
        session is not None and not any("allow" in d for d in session)
    allowed_by_identity = any("allow" in d for d in identity)
    if case["key"] is None:  # a question to the account
        return "allow" if (allowed_by_identity or who["kind"] == "root") and not fenced_in else "implicit deny"
    grants = {grant_names(g, request) for g in case["grants"]}
    if who["account"] != case["key"]["account"]:
        key_side = key & {"allow", "delegates"} or grants & {"itself", "account"}
        return "allow" if key_side and allowed_by_identity and not fenced_in else "implicit deny"
    if "direct" in key:  # not cut by what a boundary or a session policy leaves out
        return "allow"
    if fenced_in:
        return "implicit deny"
    by_name = "allow" in key or "itself" in grants
    by_account = ("delegates" in key or "account" in grants) and allowed_by_identity
    return "allow" if by_name or by_account else "implicit deny"


def answer(case):
    request = Request(case)
    request.encryption_context = case["encryption_context"]
    out, sets = {}, {}
    for name, kind in (("key", "key"), ("trust", "trust"), ("boundary", "identity")):
        text = case[name]["policy"] if name == "key" and case["key"] else case[name]
        out[name], sets[name] = ask(text, request, kind)
    for name in ("identity", "session"):
        if case[name] is None:
            out[name], sets[name] = None, None
            continue
        pairs = [ask(text, request, "identity") for text in case[name]]
        out[name], sets[name] = [p[0] for p in pairs], [p[1] for p in pairs]
    everything = [sets["key"], sets["boundary"], *sets["identity"], *(sets["session"] or [])]
    out["decision"] = ""
    if None not in everything:
        out["decision"] = decide(case, request, sets["key"], sets["identity"],
                                 sets["boundary"] if case["boundary"] is not None else None, sets["session"])
    return out


def main():
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
