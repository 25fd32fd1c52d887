package attest

import (
	"encoding/json"
	"fmt"
)

type bundle struct {
	MediaType string       `json:"mediaType"`
	Material  material     `json:"verificationMaterial"`
	Envelope  dsseEnvelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey publicKey `json:"publicKey"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

type dsseEnvelope struct {
	Payload    []byte          `json:"payload"`
	Type       string          `json:"payloadType"`
	Signatures []dsseSignature `json:"signatures"`
}

type dsseSignature struct {
	Signature []byte `json:"sig"`
}

// Sign is the bundle of a signed statement: the same for the same key and statement.
func (k *Key) Sign(s *Statement) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	signature, err := k.sign(encodePair(StatementType, payload))
	if err != nil {
		return nil, err
	}
	return json.Marshal(bundle{
		MediaType: BundleType, Material: material{publicKey{k.hint()}},
		Envelope: dsseEnvelope{Payload: payload, Type: StatementType, Signatures: []dsseSignature{{signature}}},
	})
}

// encodePair is what DSSE signs (its PAE): the type and the payload, each behind its length.
func encodePair(payloadType string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(payload), payload)
}
