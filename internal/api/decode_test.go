package api_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"trent/internal/api"
	"trent/internal/fault"
)

func TestDecodeReadsEveryKindOfMember(t *testing.T) {
	in := input(t, "CreateGrant", `{
		"KeyId": "k", "GranteePrincipal": "p", "Operations": ["Decrypt", "Fly"], "GrantTokens": [], "DryRun": true,
		"Constraints": {"EncryptionContextSubset": {"a": "1", "b": "\"2\""}}, "Name": null}`).(*api.CreateGrantInput)
	if in.KeyId != "k" || !in.DryRun || !reflect.DeepEqual(in.Operations, []api.GrantOperation{api.GrantOperationDecrypt, "Fly"}) {
		t.Errorf("decoded %+v", in)
	}
	if want := map[string]string{"a": "1", "b": `"2"`}; !reflect.DeepEqual(in.Constraints.EncryptionContextSubset, want) {
		t.Errorf("context = %v", in.Constraints.EncryptionContextSubset)
	}
	for member, want := range map[string]bool{
		"KeyId": true, "GrantTokens": true, "Constraints": true, "DryRun": true, // present, even if empty
		"Name": false, "RetiringPrincipal": false, "keyid": false, "Nonsense": false, "": false,
	} {
		if in.Has(member) != want {
			t.Errorf("Has(%q) = %v", member, !want)
		}
	}
	if !in.Constraints.Has("EncryptionContextSubset") || in.Constraints.Has("EncryptionContextEquals") {
		t.Error("presence inside the structure is wrong")
	}
}

func TestDecodeSecretsAndNumbers(t *testing.T) {
	in := input(t, "Encrypt", `{"KeyId":"k","Plaintext":"aGk="}`).(*api.EncryptInput)
	if string(in.Plaintext.Expose()) != "hi" {
		t.Errorf("plaintext = %q", in.Plaintext.Expose())
	}
	escaped := input(t, "Encrypt", `{"\u004beyId":"a\/\u0062","Plaintext":"\u0061Gk="}`).(*api.EncryptInput)
	if escaped.KeyId != "a/b" || string(escaped.Plaintext.Expose()) != "hi" {
		t.Errorf("escapes: %q %q", escaped.KeyId, escaped.Plaintext.Expose())
	}
	store := input(t, "UpdateCustomKeyStore", `{"CustomKeyStoreId":"c","KeyStorePassword":"p\u0061ss"}`).(*api.UpdateCustomKeyStoreInput)
	if string(store.KeyStorePassword.Expose()) != "pass" {
		t.Errorf("password = %q", store.KeyStorePassword.Expose())
	}
	number := input(t, "GenerateRandom", `{"NumberOfBytes":2147483647}`).(*api.GenerateRandomInput)
	if number.NumberOfBytes != 2147483647 {
		t.Errorf("number = %d", number.NumberOfBytes)
	}
}

func TestDecodeTimestamps(t *testing.T) {
	for text, want := range map[string]int64{
		"1571767572":     1571767572000,
		"1571767572.317": 1571767572317,
		"1.5E9":          1500000000000,
		"0":              0,
		"-1.5":           -1500,
	} {
		in := input(t, "ImportKeyMaterial", `{"ValidTo":`+text+`}`).(*api.ImportKeyMaterialInput)
		if !in.ValidTo.Equal(time.UnixMilli(want)) {
			t.Errorf("%s = %v", text, in.ValidTo)
		}
	}
}

func TestDecodeRefusesWrongTypes(t *testing.T) {
	tests := []struct{ operation, body, want string }{
		{"DescribeKey", `{"KeyId":1}`, "NUMBER_VALUE can not be converted to a String"},
		{"DescribeKey", `{"KeyId":["CANARY"]}`, "START_ARRAY can not be converted to a String"},
		{"DescribeKey", `{"KeyId":{"CANARY":1}}`, "START_OBJECT can not be converted to a String"},
		{"DescribeKey", `{"KeyId":true}`, "TRUE_VALUE can not be converted to a String"},
		{"CreateKey", `{"KeySpec":false}`, "FALSE_VALUE can not be converted to a String"},
		{"GenerateRandom", `{"NumberOfBytes":"CANARY"}`, "STRING_VALUE can not be converted to an Integer"},
		{"GenerateRandom", `{"NumberOfBytes":1.0}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"GenerateRandom", `{"NumberOfBytes":1e2}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"GenerateRandom", `{"NumberOfBytes":2147483648}`, "NUMBER_VALUE can not be converted to an Integer"},
		{"Encrypt", `{"DryRun":"true"}`, "STRING_VALUE can not be converted to a Boolean"},
		{"Encrypt", `{"DryRun":0}`, "NUMBER_VALUE can not be converted to a Boolean"},
		{"ImportKeyMaterial", `{"ValidTo":"2026-01-01T00:00:00Z"}`, "STRING_VALUE can not be converted to a Timestamp"},
		{"ImportKeyMaterial", `{"ValidTo":1e300}`, "NUMBER_VALUE can not be converted to a Timestamp"},
		{"ImportKeyMaterial", `{"ValidTo":1e999}`, "NUMBER_VALUE can not be converted to a Timestamp"},
		{"Encrypt", `{"Plaintext":7}`, "NUMBER_VALUE can not be converted to a Blob"},
		{"Encrypt", `{"GrantTokens":"CANARY"}`, "STRING_VALUE can not be converted to a List"},
		{"Encrypt", `{"GrantTokens":[null]}`, "NULL_VALUE can not be converted to a String"},
		{"Encrypt", `{"GrantTokens":[1]}`, "NUMBER_VALUE can not be converted to a String"},
		{"Encrypt", `{"EncryptionContext":[]}`, "START_ARRAY can not be converted to a Map"},
		{"Encrypt", `{"EncryptionContext":{"a":null}}`, "NULL_VALUE can not be converted to a String"},
		{"Encrypt", `{"EncryptionContext":{"a":1}}`, "NUMBER_VALUE can not be converted to a String"},
		{"CreateKey", `{"Tags":{}}`, "START_OBJECT can not be converted to a List"},
		{"CreateKey", `{"Tags":[null]}`, "NULL_VALUE can not be converted to a Structure"},
		{"CreateKey", `{"Tags":["CANARY"]}`, "STRING_VALUE can not be converted to a Structure"},
		{"GenerateRandom", `{"Recipient":"CANARY"}`, "STRING_VALUE can not be converted to a Structure"},
		{"UpdateCustomKeyStore", `{"KeyStorePassword":{}}`, "START_OBJECT can not be converted to a String"},
		{"DescribeKey", `null`, "NULL_VALUE can not be converted to a Structure"},
		{"DescribeKey", `[]`, "START_ARRAY can not be converted to a Structure"},
		{"DescribeKey", `"CANARY"`, "STRING_VALUE can not be converted to a Structure"},
	}
	for _, test := range tests {
		op, _ := api.Lookup(test.operation)
		f := fault.From(api.Decode([]byte(test.body), op.New().(api.JSONInput)))
		if f.Code != api.SerializationException || f.Message != test.want {
			t.Errorf("%s %s: %s %q, want %q", test.operation, test.body, f.Code, f.Message, test.want)
		}
	}
}

// TestSEC_C02 holds the inputs on which lenient JSON parsers differ, and with
// it what one layer has checked from what another one does.
func TestSEC_C02_JSONIsReadStrictly(t *testing.T) {
	refused := map[string]string{
		"duplicate member":         `{"KeyId":"a","KeyId":"b"}`,
		"duplicate after null":     `{"KeyId":null,"KeyId":"b"}`,
		"duplicate by an escape":   `{"KeyId":"a","\u004beyId":"b"}`,
		"duplicate unknown member": `{"KeyId":"a","X":1,"X":2}`,
		"duplicate in a skipped":   `{"KeyId":"a","X":{"y":1,"y":2}}`,
		"duplicate context key":    `{"EncryptionContext":{"a":"1","a":"2"}}`,
		"bad UTF-8":                "{\"KeyId\":\"a\xff\"}",
		"bad UTF-8 in a name":      "{\"K\xff\":\"a\"}",
		"bad UTF-8 in a skipped":   "{\"X\":[\"\xc3\x28\"]}",
		"lone surrogate":           `{"KeyId":"\ud800"}`,
		"trailing data":            `{"KeyId":"a"}{"KeyId":"b"}`,
		"trailing garbage":         `{"KeyId":"a"}x`,
		"trailing comma":           `{"KeyId":"a",}`,
		"comment":                  `{"KeyId":"a"/**/}`,
		"single quotes":            `{'KeyId':'a'}`,
		"bare name":                `{KeyId:"a"}`,
		"control character":        "{\"KeyId\":\"a\nb\"}",
		"byte order mark":          "\ufeff{\"KeyId\":\"a\"}",
		"cut off":                  `{"KeyId":"a"`,
		"cut off in a list":        `{"GrantTokens":["a"`,
		"nothing":                  ``,
		"leading zero":             `{"X":01}`,
		"not a number":             `{"X":NaN}`,
		"base64 with a newline":    `{"Plaintext":"aG\nk="}`,
		"base64 with a CR":         `{"Plaintext":"aGk=\r"}`,
		"base64 without padding":   `{"Plaintext":"aGk"}`,
		"base64 of URLs":           `{"Plaintext":"_-__"}`,
		"base64 with stray bits":   `{"Plaintext":"aGl="}`,
		"base64 with a space":      `{"Plaintext":"aG k="}`,
		"base64 with a tail":       `{"Plaintext":"aGk=aGk="}`,
		"too deep":                 `{"X":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	}
	for name, body := range refused {
		f := fault.From(api.Decode([]byte(body), new(api.EncryptInput)))
		if f.Code != api.SerializationException {
			t.Errorf("%s: %.60q gives %q, want a SerializationException", name, body, f.Code)
		}
	}
	for name, body := range map[string]string{
		"other case is another member": `{"KeyId":"a","keyid":"b","KEYID":"c"}`,
		"unknown members":              `{"X":{"y":[1,{"z":null}]},"KeyId":"a"}`,
		"white space":                  " {\t\"KeyId\" :\r\n\"a\" } \n",
	} {
		if in := input(t, "Encrypt", body).(*api.EncryptInput); in.KeyId != "a" {
			t.Errorf("%s: KeyId = %q", name, in.KeyId)
		}
	}
}

func TestSEC_C01_DepthAndNumberAreLimited(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	list := func(n int) string { return `["` + strings.Repeat(`x","`, n-1) + `x"]` }
	for _, test := range []struct {
		name, body string
		good       bool
	}{
		{"deep enough", `{"X":` + nested(31) + `}`, true},
		{"too deep", `{"X":` + nested(32) + `}`, false},
		{"far too deep", `{"X":` + nested(100000) + `}`, false},
		{"deep objects", `{"X":` + strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40) + `}`, false},
		{"deep where a string should be", `{"KeyId":` + nested(100000) + `}`, false},
		{"deep where a map should be", `{"EncryptionContext":{"a":` + nested(100000) + `}}`, false},
		{"many items", `{"GrantTokens":` + list(1000) + `}`, true},
		{"too many items", `{"GrantTokens":` + list(1100) + `}`, false},
		{"too many items in a skipped list", `{"X":` + list(1100) + `}`, false},
	} {
		err := api.Decode([]byte(test.body), new(api.EncryptInput))
		if (err == nil) != test.good || err != nil && !fault.Is(err, api.SerializationException) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A parser that quotes what it stumbled over would log plaintexts.
func TestSEC_G02_RefusalsDoNotQuoteTheInput(t *testing.T) {
	for _, body := range []string{
		`{"Plaintext":"CANARY!"}`, `{"Plaintext":{"CANARY":1}}`, `{"Plaintext":"CANARY`, `{"CANARY":1,"CANARY":2}`,
		`{"Plaintext":CANARY}`, "{\"Plaintext\":\"CANARY\xff\"}", `{"EncryptionContext":{"CANARY":7}}`, `{"KeyId":"a"}CANARY`,
	} {
		err := api.Decode([]byte(body), new(api.EncryptInput))
		if err == nil || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestDecodeKeepsNoReferenceToTheBody(t *testing.T) {
	body := []byte(`{"KeyId":"alias/app","Plaintext":"aGk=","EncryptionContext":{"k":"v"},"GrantTokens":["t"]}`)
	in := new(api.EncryptInput)
	if err := api.Decode(body, in); err != nil {
		t.Fatal(err)
	}
	clear(body)
	if in.KeyId != "alias/app" || string(in.Plaintext.Expose()) != "hi" || in.EncryptionContext["k"] != "v" || in.GrantTokens[0] != "t" {
		t.Errorf("the input changed with the body: %+v", in)
	}
}

func TestDecodeOfAUsualRequestIsCheap(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = api.Decode(usual, new(api.GenerateDataKeyInput)) }); n > 4 {
		t.Errorf("Decode allocated %v times", n)
	}
}

// FuzzDecode feeds every operation: nothing may panic, what was taken must
// validate or not without harm, and what goes to the audit log must be JSON.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		`{"KeyId":"alias/app","KeySpec":"AES_256","GrantTokens":["a"],"EncryptionContext":{"a":"b"},"Plaintext":"aGk="}`,
		`{"Tags":[{"TagKey":"a","TagValue":"b"}],"Limit":3,"ValidTo":1.5,"Recipient":{"AttestationDocument":"AA=="}}`,
		`{"XksProxyAuthenticationCredential":{"AccessKeyId":"a"},"Operations":["Decrypt"],"Constraints":{"SourceArn":"x"}}`,
		`{"KeyId":"\ud83d\udd11","TagKeys":["x"],"ReplicaRegion":"eu-west-1","Policy":"\u0000","Marker":"é"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range api.Operations() {
			in := op.New().(api.JSONInput)
			if err := api.Decode(body, in); err != nil {
				if c := fault.From(err).Code; c != api.SerializationException {
					t.Fatalf("%s: Decode gives %s", op.Name, c)
				}
				continue
			}
			if err := in.Validate(); err != nil && !fault.Is(err, api.ValidationException) {
				t.Fatalf("%s: Validate gives %v", op.Name, err)
			}
			for _, m := range op.Members {
				checkMember(t, op, in, m)
			}
		}
	})
}
